import { assert, describe, it } from "vitest"
import { judge } from "../../src/materialize/Breaker.ts"

const settings = { moreThan: 3, morePercentThan: 50, ofLast: 8 }
const of = (text: string) => [...text].map((letter) => letter === "b")

describe("a breaker", () => {
  it("trips when both limits are passed, and remembers no more than it needs", () => {
    assert.isUndefined(judge(settings, [], of("bbb")).tripped, "not more than 3")
    assert.deepStrictEqual(judge(settings, [], of("bbbb")).tripped, { bad: 4, of: 4 })
    assert.isUndefined(judge(settings, of("gggg"), of("bbbb")).tripped, "half is not more than half")
    assert.deepStrictEqual(judge(settings, of("gggg"), of("bbbbb")).tripped, { bad: 5, of: 8 })
    assert.deepStrictEqual(judge(settings, of("ggggbb"), of("ggb")).recent, of("gggbbggb"))
  })

  it("trips over a run of bad records amid good ones, and does not count twice what was judged before", () => {
    assert.isDefined(judge(settings, [], of(`${"g".repeat(50)}bbbbb${"g".repeat(50)}`)).tripped)
    assert.isUndefined(judge(settings, of("bbbbbbbb"), of("gggggggg").slice(0, 0)).tripped)
    assert.isUndefined(judge({ ...settings, morePercentThan: 100 }, [], of("bbbbbbbbbbbb")).tripped, "100 % never")
    assert.deepStrictEqual(judge({ ...settings, ofLast: 0 }, of("b"), of("bg")).recent, [])
  })
})
