import type { Check } from "./Health.ts"
import type { SystemStatus } from "./SystemStatus.ts"

/** What `/status` answers: the system, and what the answering process says of its own parts. */
export interface StatusAnswer extends SystemStatus {
  readonly checks: ReadonlyArray<Check>
  /** Only where `cdc start` keeps a sample hub busy. */
  readonly sampleHub?: { readonly paused: boolean }
}

/** Lags of the last answers, oldest first: of capture in bytes, of each pipeline in records. */
export interface LagHistory {
  readonly capture: ReadonlyArray<number>
  readonly pipelines: Readonly<Record<string, ReadonlyArray<number>>>
}

/**
 * The page's main part as HTML. It runs here for the first view and, as its own source text, in the browser for every
 * further one: so it may use nothing from outside of itself. Every text is escaped, also those that can't hold markup.
 */
export const statusView = (status: StatusAnswer, history: LagHistory): string => {
  const escape = (value: unknown): string =>
    String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  const count = (value: number): string => value.toLocaleString("en-US")
  const bytes = (value: number): string => {
    const units = ["B", "kB", "MB", "GB", "TB"]
    let unit = 0
    while (value >= 1_000 && unit < units.length - 1) {
      value /= 1_000
      unit++
    }
    return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
  }
  const seconds = (value: number | null): string => {
    if (value === null) return "–"
    if (value < 60) return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} s`
    return value < 7_200 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3_600)} h`
  }
  const badge = (state: string, tone: string, title = ""): string =>
    `<span class="badge ${tone}" title="${escape(title)}">${escape(state)}</span>`
  const toneOf = (state: string): string => {
    if (["streaming", "running", "done", "ok"].includes(state)) return "good"
    return ["slotMissing", "slotLost", "stopped", "failing"].includes(state) ? "bad" : "busy"
  }
  const words = (state: string): string => state.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  const sparkline = (values: ReadonlyArray<number>, label: string): string => {
    const [width, height] = [120, 28]
    const top = Math.max(1, ...values)
    const step = width / Math.max(1, values.length - 1)
    const points = values.map((value, n) =>
      `${Math.round(n * step * 10) / 10},${Math.round((height - 2 - value / top * (height - 4)) * 10) / 10}`)
    const line = points.length < 2 ? "" : `<polyline points="${points.join(" ")}"/>`
    return `<svg class="spark" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(label)}">${line}</svg>`
  }
  const fact = (name: string, value: string, title = ""): string =>
    `<div title="${escape(title)}"><dt>${escape(name)}</dt><dd>${value}</dd></div>`

  const { capture, pipelines, snapshot, topics } = status

  const summary = `<section class="summary">
    ${status.caughtUp ? badge("caught up", "good", "everything committed before this answer is published and applied") : badge("catching up", "busy")}
    ${status.settled ? badge("settled", "good", "and no pipeline has written since") : badge("not settled", "quiet")}
    <span>${count(topics.tables)} tables → topics <code>${escape(topics.prefix)}.*</code></span>
    <time datetime="${escape(status.at)}">${escape(status.at.slice(11, 19))} UTC</time>
  </section>`

  const captureCard = `<section class="card">
    <h2>Capture ${badge(words(capture.state), toneOf(capture.state))}</h2>
    <dl>
      ${fact("slot", `<code>${escape(capture.slot)}</code>`)}
      ${fact("lag", `${bytes(capture.lagBytes)} · ${seconds(capture.lagSeconds)}`, "current LSN - confirmed LSN; age of the last published transaction")}
      ${fact("confirmed", `<code>${escape(capture.confirmedLsn ?? "–")}</code>`, "published up to here")}
      ${fact("current", `<code>${escape(capture.currentLsn)}</code>`, "written up to here")}
      ${fact("WAL kept", bytes(capture.retainedWalBytes), "on the source's disk, for the slot")}
      ${fact("bytes behind", sparkline(history.capture, "bytes behind, last minutes"))}
    </dl>
    ${capture.deadLetters === 0 ? "" : `<p>${badge("dead letters", "bad")} ${count(capture.deadLetters)} records were too large for their topic: <code>&lt;topic&gt;.capture.dlq</code></p>`}
    ${[...capture.gaps.map((gap) => ({ ...gap, of: gap.table })), ...capture.eventGaps.map((gap) => ({ ...gap, of: gap.topic }))].map(({ of, remedy, why }) =>
      `<p>${badge("gap", "bad")} <code>${escape(of)}</code>: ${escape(why)}; ${escape(remedy)}</p>`).join("")}
  </section>`

  const bar = (percent: number | null): string =>
    percent === null ? "<progress></progress>" : `<progress max="100" value="${percent}">${percent} %</progress>`
  const rate = (rowsPerSecond: number | null): string => rowsPerSecond === null ? "–" : count(rowsPerSecond)
  const tableRow = (table: SystemStatus["snapshot"]["tables"][number]): string =>
    `<tr><th scope="row"><code>${escape(table.table)}</code></th><td>${badge(table.state, toneOf(table.state))}</td>
      <td class="number">${count(table.rows)}</td><td class="number">${table.estimatedRows === null ? "–" : count(table.estimatedRows)}</td>
      <td>${bar(table.percent)}</td><td class="number">${rate(table.rowsPerSecond)}</td>
      <td class="number">${table.state === "done" ? "" : seconds(table.secondsLeft)}</td></tr>`
  const isReading = snapshot.state === "reading"
  const snapshotFacts = [
    `${count(snapshot.tablesDone)} of ${count(snapshot.tables.length)} tables`,
    `${count(snapshot.rows)} rows`,
    ...(isReading ? [`${snapshot.percent} %`, `${rate(snapshot.rowsPerSecond)} rows/s`, `${seconds(snapshot.secondsLeft)} left`] : [])
  ]
  // While it goes on it is what a person waits for: then it comes first, over the whole width.
  const snapshotCard = `<section class="card${isReading ? " wide" : ""}">
    <h2>Snapshot ${badge(snapshot.state, toneOf(snapshot.state))}</h2>
    <p>${snapshotFacts.join(" · ")}</p>
    ${bar(snapshot.percent)}
    <details${isReading ? " open" : ""}><summary>tables</summary>
      <div class="scroll"><table>
        <thead><tr><th scope="col">table</th><th scope="col">state</th><th scope="col" class="number">rows</th>
          <th scope="col" class="number" title="estimated from Postgres' statistics and what is read already">of about</th><th scope="col"></th>
          <th scope="col" class="number">rows/s</th><th scope="col" class="number">time left</th></tr></thead>
        <tbody>${snapshot.tables.map(tableRow).join("")}</tbody></table></div></details>
  </section>`

  const deadLetters = ({ deadLetters, openDeadLetters, suspectRows }: SystemStatus["pipelines"][number]): string => {
    const reasons = Object.entries(openDeadLetters)
    if (reasons.length === 0) return count(deadLetters)
    const open = reasons.reduce((sum, [, n]) => sum + n, 0)
    const why = [...reasons.map(([reason, n]) => `${reason} ${count(n)}`), ...suspectRows === 0 ? [] : [`rows that are suspect: ${count(suspectRows)}`]]
    return `${badge(`${count(open)} open`, "bad", why.join(", "))} of ${count(deadLetters)}`
  }
  const pipelineRow = (pipeline: SystemStatus["pipelines"][number]): string =>
    `<tr><th scope="row"><code>${escape(pipeline.name)}</code></th>
      <td>${badge(words(pipeline.state), toneOf(pipeline.state), pipeline.pausedWhy ?? "")}${pipeline.mode === "shadow" ? " shadow" : ""}${
        pipeline.replay === null ? "" : ` replay ${pipeline.replay.percent} %`}</td>
      <td class="number">${count(pipeline.lagRecords)}</td><td class="number">${seconds(pipeline.lagSeconds)}</td>
      <td>${sparkline(history.pipelines[pipeline.name] ?? [], `${pipeline.name}: records behind, last minutes`)}</td>
      <td class="number">${count(pipeline.applied)}</td>
      <td class="number">${count(pipeline.writes)}${pipeline.otherWrites === 0 ? "" : ` ${badge(`${count(pipeline.otherWrites)} by another`, "bad", "somebody else writes rows of this pipeline")}`}</td>
      <td class="number">${count(pipeline.pending)}</td>
      <td class="number">${deadLetters(pipeline)}</td></tr>`
  const pipelinesCard = `<section class="card wide">
    <h2>Pipelines</h2>
    <div class="scroll"><table>
      <thead><tr><th scope="col">pipeline</th><th scope="col">state</th><th scope="col" class="number">records behind</th>
        <th scope="col" class="number">lag</th><th scope="col"></th><th scope="col" class="number">applied</th>
        <th scope="col" class="number">rows written</th><th scope="col" class="number" title="rows that somebody else holds; tried again">pending</th>
        <th scope="col" class="number">dead letters</th></tr></thead>
      <tbody>${pipelines.map(pipelineRow).join("")}</tbody></table></div>
  </section>`

  const checks = status.checks.map((check) =>
    `<li>${badge(check.state, toneOf(check.state))} ${escape(check.name)}${check.reason === null ? "" : `: ${escape(check.reason)}`}</li>`)
  const checksCard = checks.length === 0 ? "" : `<section class="card wide"><h2>This process</h2><ul>${checks.join("")}</ul></section>`

  return `${summary}<div class="cards">${isReading ? snapshotCard + captureCard : captureCard + snapshotCard}${pipelinesCard}${checksCard}</div>`
}
