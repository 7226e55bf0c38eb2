import { EventEmitter } from "node:events"
import { readFileSync } from "node:fs"
import { PassThrough } from "node:stream"
import { describe, expect, it } from "vitest"
import { CaptureError } from "../../src/capture/CaptureError.ts"
import { decode } from "../../src/capture/PgOutput.ts"
import { ReplicationBuffer } from "../../src/capture/ReplicationBuffer.ts"
import type { ReplicationConnection } from "../../src/capture/ReplicationConnection.ts"
import type { WalMessage } from "../../src/capture/WalMessage.ts"
import { WalStretch } from "../../src/capture/WalStretch.ts"
import { withTexts } from "./Texts.ts"

const frames = (JSON.parse(readFileSync(new URL("../fixtures/pgoutput/18.json", import.meta.url), "utf8")) as { readonly frames: ReadonlyArray<string> })
  .frames.map((frame) => Buffer.from(frame, "base64"))
const messages = frames.map((frame) => withTexts(decode(frame)))

describe("stretches of the stream", () => {
  it("keep their messages when the socket's memory is used again, also those that follow in the same block", () => {
    const stretches: Array<WalStretch> = []
    for (let round = 0; round < 40; round++) { // more than a block takes
      for (const frame of frames) {
        const socket = Buffer.concat([Buffer.from("header"), frame])
        const last = stretches.at(-1)
        const stretch = last?.hasRoomFor(frame.length) === true && last.bytes < 5_000 ? last : WalStretch.behind(last, frame.length)
        if (stretch !== last) stretches.push(stretch)
        stretch.add(socket, 6)
        socket.fill(0xee)
      }
    }
    const read = stretches.flatMap((stretch) => stretch.decode().map(withTexts))
    expect(read).toHaveLength(40 * messages.length)
    expect(read.slice(-messages.length)).toEqual(messages)
    expect(read.slice(0, messages.length)).toEqual(messages)
  })

  it("have room for a message of any length", () => {
    const stretch = WalStretch.behind(undefined, 1_000_000)
    expect(stretch.add(Buffer.alloc(1_000_000), 0)).toBe(stretch.bytes)
  })
})

describe("the receiving end of the stream", () => {
  const connect = () => {
    const connection: ReplicationConnection = Object.assign(new EventEmitter(), {
      stream: new PassThrough(), sendCopyFromChunk: () => {}, endCopyFrom: () => void connection.emit("readyForQuery")
    })
    const buffer = new ReplicationBuffer(connection, { maxBufferedBytes: 1_000_000, statusIntervalSeconds: 60, walSenderTimeoutSeconds: 60 })
    buffer.start()
    const receive = (message: Buffer) => connection.emit("copyData", { chunk: Buffer.concat([Buffer.from("w"), Buffer.alloc(24), message]) })
    const take = () => {
      let taken: ReadonlyArray<WalMessage> | CaptureError | undefined
      buffer.take((given) => void (taken = given))
      return taken
    }
    return { buffer, receive, take }
  }

  it("gives what came, once", async () => {
    const { buffer, receive, take } = connect()
    for (const frame of frames) receive(frame)
    expect((take() as ReadonlyArray<WalMessage>).map(withTexts)).toEqual(messages)
    expect(take()).toBeUndefined()
    await buffer.close()
  })

  it("gives nothing from a message on that it can't decode, whatever comes behind it", async () => {
    const { buffer, receive, take } = connect()
    for (const frame of frames) receive(frame)
    receive(Buffer.from("S"))
    for (const frame of frames) receive(frame)
    for (let time = 0; time < 3; time++) expect(take()).toMatchObject({ reason: "undecodable" })
    for (const frame of frames) receive(frame)
    expect(take()).toMatchObject({ reason: "undecodable" })
    await buffer.close()
  })
})
