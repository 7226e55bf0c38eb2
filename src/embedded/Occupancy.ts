import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { closeSync, constants, existsSync, openSync, readSync } from "node:fs"
import { Socket } from "node:net"

/**
 * Who uses a directory, as the kernel knows it: a named pipe that each of its users holds open for writing. It reads
 * as ended exactly when the last of them is gone, however it went, and whoever's children they are by then; a pid in a
 * file would be there after a crash, or name a stranger by now.
 */
export const hold = (pipe: string): number => {
  if (!existsSync(pipe)) execFileSync("mkfifo", ["-m", "600", pipe])
  return openSync(pipe, constants.O_RDWR) // with a reader of its own, so that opening does not wait for one
}

/** Nobody holds it at this moment. */
export const isFree = (pipe: string): boolean => {
  if (!existsSync(pipe)) return true
  const fd = openForReading(pipe)
  try {
    return hasEnded(fd)
  } finally {
    closeSync(fd)
  }
}

/** Waits until its last holder is gone. */
export const whenFree = (pipe: string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (isFree(pipe)) return resume(Effect.void)
    const socket = new Socket({ fd: openForReading(pipe), readable: true, writable: false })
    socket.once("close", () => resume(Effect.void)).resume()
    return Effect.sync(() => socket.destroy())
  })

const openForReading = (pipe: string): number => openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)

/** Nothing is ever written into it: a read says "ended" (0 bytes), or that it would have to wait (EAGAIN). */
const hasEnded = (fd: number): boolean => {
  try {
    return readSync(fd, Buffer.alloc(1)) === 0
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return false
    throw error
  }
}
