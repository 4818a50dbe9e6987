// The server side of a WebSocket in a page: handshake, text frames out, text
// frames in. Enough for the double of the hub; nothing else uses it.

import { createHash } from "node:crypto";

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

function frame(text) {
  const body = Buffer.from(text);
  const head = body.length < 126 ? Buffer.from([0x81, body.length]) : Buffer.alloc(body.length < 65_536 ? 4 : 10);
  if (body.length >= 126) {
    head[0] = 0x81;
    head[1] = body.length < 65_536 ? 126 : 127;
    if (body.length < 65_536) head.writeUInt16BE(body.length, 2);
    else head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, body]);
}

/** Takes every whole frame off `buffer`; returns the texts, a close mark, and the rest. */
function unframe(buffer) {
  const texts = [];
  let rest = buffer;
  let closed = false;
  while (rest.length >= 6) {
    const opcode = rest[0] & 0x0f;
    let length = rest[1] & 0x7f;
    let at = 2;
    if (length === 126) {
      length = rest.readUInt16BE(2);
      at = 4;
    }
    if (rest.length < at + 4 + length) break;
    const mask = rest.subarray(at, at + 4);
    const body = Buffer.from(rest.subarray(at + 4, at + 4 + length)).map((byte, index) => byte ^ mask[index % 4]);
    if (opcode === 8) closed = true;
    if (opcode === 1) texts.push(body.toString());
    rest = rest.subarray(at + 4 + length);
  }
  return { texts, rest, closed };
}

/** Answers an upgrade; `onText` gets each message. Returns `{send, close}`. */
export function acceptSocket(request, socket, onText) {
  const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + MAGIC).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let pending = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    const { texts, rest, closed } = unframe(Buffer.concat([pending, chunk]));
    pending = rest;
    for (const text of texts) onText(text);
    if (closed) socket.end();
  });
  socket.on("error", () => {});
  return {
    send: (text) => socket.writable && socket.write(frame(text)),
    close: () => socket.destroy(),
  };
}
