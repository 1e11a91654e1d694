#!/usr/bin/env python3
"""delay.py ADDRESS PORT THERE SECONDS: what comes to PORT reaches THERE so much later."""

import asyncio
import sys


class Back(asyncio.DatagramProtocol):
    """Waits for the one answer to a datagram."""

    def __init__(self, door, client, data):
        self.door, self.client, self.data = door, client, data
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        transport.sendto(self.data)

    def datagram_received(self, data, addr):
        self.door.sendto(data, self.client)
        self.transport.close()

    def error_received(self, exc):
        self.transport.close()


class Door(asyncio.DatagramProtocol):
    """Takes what comes."""

    def __init__(self, there, delay_s):
        self.there, self.delay_s = there, delay_s
        self.transport, self.tasks = None, set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        task = asyncio.ensure_future(self.pass_on(data, addr))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def pass_on(self, data, client):
        await asyncio.sleep(self.delay_s)
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Back(self.transport, client, data), remote_addr=self.there)


async def main(address, port, there, delay_s):
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Door((address, int(there)), float(delay_s)), local_addr=(address, int(port)))
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
