import sys
from concurrent import futures
import grpc


def identity(value):
    return value


def serve(at, cert, key):
    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"echo " + request, identity, identity)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(at + ":50051")
    pair = (open(key, "rb").read(), open(cert, "rb").read())
    server.add_secure_port(at + ":50052", grpc.ssl_server_credentials([pair]))
    server.start()
    server.wait_for_termination()


def call(target, ca=None):
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(open(ca, "rb").read())) if ca else grpc.insecure_channel(target)
    print(channel.unary_unary("/real.Echo/Say", identity, identity)(b"hello", timeout=30).decode())
{"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
