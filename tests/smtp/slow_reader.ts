import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { createAuthority } from "./certificate.ts";

/**
 * An SMTP server in a process of its own that reads slowly and keeps nothing: memory measured beside it is the
 * client's.
 */
const authority = createAuthority();
const serve = (socket: Socket): void => {
  let isInContent = false;
  let tail = "";
  socket.write("220 slow\r\n");
  socket.on("error", () => undefined);
  socket.on("data", (bytes: Buffer) => {
    tail = (tail + bytes.toString("latin1")).slice(-64);
    if (isInContent) {
      if (tail.endsWith("\r\n.\r\n")) {
        isInContent = false;
        socket.write("250 taken\r\n");
      }
      // Slow on purpose: this is the server, and its pauses are the test's input.
      socket.pause();
      setTimeout(() => socket.resume(), 1);
      return;
    }
    for (const line of bytes.toString("latin1").split("\r\n").slice(0, -1)) {
      isInContent = line === "DATA";
      socket.write(isInContent ? "354 go on\r\n" : "250 ok\r\n");
    }
  });
};
const server = process.argv[2] === "implicit"
  ? createTlsServer(authority.issue(["127.0.0.1"]), serve)
  : createServer(serve);
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") {
    console.log(JSON.stringify({ port: address.port, ca: authority.ca }));
  }
});
