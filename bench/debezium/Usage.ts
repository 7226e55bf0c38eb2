import { readFileSync } from "node:fs"

/** What a process has used since it began. */
export interface Usage {
  readonly cpuSeconds: number
  readonly residentBytes: number
  /** The highest of `residentBytes`. */
  readonly peakBytes: number
}

/** On Linux alone: proc(5) has user and system time in ticks of 10 ms, memory in kB. */
export const of = (pid: number): Usage => {
  const times = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ")
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const bytes = (field: string) => 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)![1])
  return { cpuSeconds: (Number(times[11]) + Number(times[12])) / 100, residentBytes: bytes("VmRSS"), peakBytes: bytes("VmHWM") }
}
