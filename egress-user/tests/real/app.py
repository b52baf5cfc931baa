import asyncio, hashlib, ssl, sys
from aiohttp import web
at, cert, key = sys.argv[1:]


async def echo(request):
    body = await request.read()
    return web.Response(text=f"{request.method} {len(body)} {hashlib.sha256(body).hexdigest()}\n")


async def events(request):
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for i in range(3):
        await answer.write(f"data: {i}\n\n".encode())
        await asyncio.sleep(0.1)
    return answer


async def socket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str("echo " + message.data)
        if message.data == "bye":
            break
    await ws.close()
    return ws


async def target(request):
    return web.Response(text=f"{request.raw_path}\n{request.cookies.get('c', '')[-8:]}\n")


async def main():
    app = web.Application(client_max_size=1 << 28)
    app.add_routes([web.route("*", "/echo", echo), web.get("/events", events), web.get("/socket", socket), web.get("/target/{x:.*}", target)])
    runner = web.AppRunner(app, max_field_size=65536, max_line_size=65536)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    await web.TCPSite(runner, at, 80, backlog=4096).start()
    await web.TCPSite(runner, at, 443, ssl_context=tls, backlog=4096).start()
    await asyncio.Event().wait()
asyncio.run(main())
