# SPDX-License-Identifier: Apache-2.0
"""A link that can be cut: TCP forwarders on loopback ports. Cut, no byte passes and no connection ends, as behind a dead
switch; healed, the old connections are closed and new ones pass."""
import selectors
import socket
import threading

PIECE = 65536


class Cut(threading.Thread):
    """Forwards a port of its own to each target: ports[(host, port)]. One thread for all connections."""
    def __init__(self, targets):
        super().__init__(daemon=True)
        self.selector, self.ports, self.peers = selectors.DefaultSelector(), {}, {}
        self.is_cut, self.is_over, self.lock = False, False, threading.Lock()
        for target in targets:
            listener = socket.create_server(("127.0.0.1", 0))
            self.ports[target] = listener.getsockname()[1]
            self.selector.register(listener, selectors.EVENT_READ, target)
        self.start()

    def run(self):
        while not self.is_over:
            for key, _ in self.selector.select(0.02):
                with self.lock:
                    if not self.is_cut:
                        self.accept(key) if key.data else self.forward(key.fileobj)
            if self.is_cut:
                threading.Event().wait(0.01)  # what is readable stays so

    def accept(self, key):
        client, _ = key.fileobj.accept()
        try:
            server = socket.create_connection(key.data, 2)
        except OSError:
            client.close()
            return
        for end, other in ((client, server), (server, client)):
            end.settimeout(5)
            self.peers[end] = other
            self.selector.register(end, selectors.EVENT_READ, None)

    def forward(self, end):
        other = self.peers.get(end)
        if other is None:
            return
        try:
            piece = end.recv(PIECE)
            if piece:
                other.sendall(piece)
                return
        except OSError:
            pass
        self.drop(end, other)

    def drop(self, *ends):
        for end in ends:
            if self.peers.pop(end, None) is not None:
                self.selector.unregister(end)
                end.close()

    def cut(self):
        with self.lock:
            self.is_cut = True

    def heal(self):
        with self.lock:
            self.drop(*list(self.peers))
            self.is_cut = False

    def close(self):
        self.is_over = True
        self.join()
