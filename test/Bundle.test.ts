import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("..", import.meta.url))
const project = mkdtempSync(join(tmpdir(), "cdc-bundle-"))

const write = (file: string, text: string) => writeFileSync(join(project, file), text)
const bundle = () => execFileSync(join(project, "scripts/bundle"))
const made = () => statSync(join(project, "dist/cdc.js")).ino
const say = () => {
  bundle()
  return execFileSync(process.execPath, [join(project, "dist/cdc.js")], { encoding: "utf8" })
}

/** A program of two files, with this one's scripts. */
beforeAll(() => {
  for (const folder of ["src/deep", "pipelines", "scripts"]) mkdirSync(join(project, folder), { recursive: true })
  for (const script of ["bundle", "bundle.ts"]) cpSync(join(root, "scripts", script), join(project, "scripts", script))
  symlinkSync(join(root, "node_modules"), join(project, "node_modules"))
  write("package.json", JSON.stringify({ type: "module" }))
  write("src/main.ts", "import { text } from './deep/Text.ts'\nconsole.log(text)")
  write("src/deep/Text.ts", "import { readFileSync } from 'node:fs'\nexport const text: string = readFileSync(new URL('text.sql', import.meta.url), 'utf8')")
  write("src/deep/text.sql", "beside its module")
})

afterAll(() => rmSync(project, { recursive: true }))

describe("the bundle that bin/cdc runs", { timeout: 60_000 }, () => {
  it("reads the files that lie beside its modules", () => {
    expect(say()).toBe("beside its module\n")
  })

  it("is made again when a source is newer, and else left alone", () => {
    bundle()
    const before = made()
    bundle()
    expect(made()).toBe(before)
    write("src/deep/Text.ts", "export const text = 'changed – but ASCII'")
    expect(say()).toBe("changed – but ASCII\n")
  })

  it("is made again when a source was put there with an old date, as archives and copies do", () => {
    bundle()
    write("src/deep/Text.ts", "export const text = 'of another version'")
    utimesSync(join(project, "src/deep/Text.ts"), 1, 1)
    expect(say()).toBe("of another version\n")
  })

  it("is made again when a file is gone", () => {
    write("src/deep/Unused.ts", "")
    bundle()
    const before = made()
    rmSync(join(project, "src/deep/Unused.ts"))
    bundle()
    expect(made()).not.toBe(before)
  })
})
