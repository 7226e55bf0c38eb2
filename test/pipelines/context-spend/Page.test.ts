import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const read = (file: string) => readFileSync(`${root}/${file}`, "utf8")

describe("docs/adding-a-pipeline.md", () => {
  it("shows the pipeline that it builds, whole", () => {
    const pieces = [...read("docs/adding-a-pipeline.md").matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code]) => code)
    expect(pieces.join("\n")).toBe(read("pipelines/context-spend/ContextSpend.ts"))
  })

  it("says rightly that it has less than 100 lines", () => {
    const files = globSync("pipelines/context-spend/**/*.*", { cwd: root })
    expect(files.length).toBe(3)
    expect(files.flatMap((file) => read(file).trimEnd().split("\n")).length).toBeLessThan(100)
  })
})
