import { createHash } from "node:crypto"
import { assert, describe, it } from "vitest"
import * as StatusPage from "../../src/observability/StatusPage.ts"
import { type StatusAnswer, statusView } from "../../src/observability/StatusView.ts"

const hostile = `<img src=x onerror=alert(1)>"'&`

const answer: StatusAnswer = {
  caughtUp: true,
  settled: false,
  at: "2026-11-22T12:00:00.000Z",
  capture: { state: "streaming", slot: hostile, confirmedLsn: "0/1", currentLsn: "0/2", lagBytes: 1_500, retainedWalBytes: 0, lagSeconds: null,
    deadLetters: 0, gaps: [{ table: hostile, why: hostile, remedy: hostile }],
    eventGaps: [{ topic: hostile, why: hostile, remedy: hostile }] },
  snapshot: {
    state: "reading", tablesDone: 0, rows: 5, percent: 12.3, rowsPerSecond: 45_678, secondsLeft: 90,
    tables: [{ table: hostile, state: "reading", rows: 5, estimatedRows: null, percent: null, rowsPerSecond: null, secondsLeft: null }]
  },
  rereads: [],
  pipelines: [{ name: hostile, state: "stopped", pausedWhy: hostile, mode: "live", replay: null, lagRecords: 1_234, lagSeconds: 90, deadLetters: 2, openDeadLetters: { [hostile]: 1 }, suspectRows: 1, applied: 0, writes: 0, otherWrites: 0, pending: 0 }],
  pending: 0,
  topics: { prefix: hostile, tables: 1 },
  checks: [{ name: hostile, state: "failing", reason: hostile, since: "2026-11-22T12:00:00.000Z" }]
}

describe("the status page", () => {
  it("shows names from the database as text, wherever they stand", () => {
    const page = StatusPage.render(answer)
    assert.notInclude(page.replace(/<script>.*<\/script>/s, ""), "<img")
    assert.strictEqual(page.split("&#60;img src=x onerror=alert(1)&#62;&#34;&#39;&#38;").length - 1, 15)
    assert.notInclude(StatusPage.renderUnavailable(hostile).replace(/<script>.*<\/script>/s, ""), "<img")
  })

  it("allows exactly its own style and script", () => {
    const page = StatusPage.render(answer)
    for (const [tag, directive] of [["style", "style-src"], ["script", "script-src"]] as const) {
      const text = new RegExp(`<${tag}>(.*?)</${tag}>`, "s").exec(page)![1]!
      const hash = createHash("sha256").update(text).digest("base64")
      assert.include(StatusPage.contentSecurityPolicy, `${directive} 'sha256-${hash}'`)
    }
    assert.include(StatusPage.contentSecurityPolicy, "default-src 'none'")
    assert.notMatch(page, /\sstyle=|\son[a-z]+="/) // the policy would refuse them
  })

  it("renders in a browser from its own source text alone", () => {
    const alone = new Function(`return (${statusView})`)() as typeof statusView
    const history = { capture: [1, 2, 3], pipelines: { [hostile]: [3, 2, 1] } }
    assert.strictEqual(alone(answer, history), statusView(answer, history))
    assert.include(alone(answer, history), "<polyline points=\"0,")
  })

  it("says amounts as people do", () => {
    const view = statusView(answer, { capture: [], pipelines: {} })
    for (const text of ["1.5 kB · –", "1,234", "2 min", "caught up", "not settled"]) assert.include(view, text)
  })

  it("offers to pause the sample hub only where there is one", () => {
    const button = (page: string) => /<button id="hub".*?<\/button>/.exec(page)?.[0]
    assert.isUndefined(button(StatusPage.render(answer)))
    assert.include(button(StatusPage.render({ ...answer, sampleHub: { paused: true } })), "Resume the sample hub")
  })
})
