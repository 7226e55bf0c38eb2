import { assert, describe, it } from "vitest"
import { judge, remember } from "../../src/materialize/Breaker.ts"

const settings = { moreThan: 3, morePercentThan: 50, ofLast: 8 }
const of = (text: string) => [...text].map((letter) => letter === "b")

describe("a breaker", () => {
  it("trips when both limits are passed, and remembers no more than it needs", () => {
    assert.isUndefined(judge(settings, [], of("bbb")), "not more than 3")
    assert.deepStrictEqual(judge(settings, [], of("bbbb")), { bad: 4, of: 4 })
    assert.isUndefined(judge(settings, of("gggg"), of("bbbb")), "half is not more than half")
    assert.deepStrictEqual(judge(settings, of("gggg"), of("bbbbb")), { bad: 5, of: 8 })
    assert.deepStrictEqual(remember(settings, of("ggggbb"), of("ggb")), of("gggbbggb"))
  })

  it("trips over a run of bad records amid good ones, and does not count twice what was judged before", () => {
    assert.isDefined(judge(settings, [], of(`${"g".repeat(50)}bbbbb${"g".repeat(50)}`)))
    assert.isUndefined(judge(settings, of("bbbbbbbb"), of("gggggggg").slice(0, 0)))
    assert.isUndefined(judge({ ...settings, morePercentThan: 100 }, [], of("bbbbbbbbbbbb")), "100 % never")
    assert.deepStrictEqual(remember({ ...settings, ofLast: 0 }, of("b"), of("bg")), [])
  })
})
