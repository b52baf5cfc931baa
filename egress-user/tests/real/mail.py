import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP
at, cert, key = sys.argv[1:]
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(cert, key)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        return "250 taken %d" % len(envelope.content)


async def main():
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler(), tls_context=tls, hostname="mail.web.test"), at, 25)
    await server.serve_forever()
asyncio.run(main())
