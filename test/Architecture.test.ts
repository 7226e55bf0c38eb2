import { globSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

/**
 * What each folder may import, besides itself and packages: domain ← connections ← the stages ← run ← cli.
 * `docs/architecture.md` says what each of them is for.
 */
const below = ["src/domain", "src/connections", "src/Config.ts"]
const stages = ["src/capture", "src/publish", "src/consume", "src/materialize"]
const mayImport: Record<string, ReadonlyArray<string>> = {
  "src/domain": [],
  "src/Config.ts": ["src/domain", "src/ConfigOption.ts"],
  "src/ConfigOption.ts": ["src/domain"],
  "src/connections": ["src/domain", "src/Config.ts"],
  ...Object.fromEntries([...stages, "src/observability", "src/embedded"].map((place) => [place, below])),
  "src/run": [...below, ...stages, "src/observability"],
  "pipelines": ["src/domain", "src/materialize"],
  "src/cli": ["src", "pipelines", "package.json"],
  "src/main.ts": ["src/cli"]
}

const root = fileURLToPath(new URL("..", import.meta.url))
const files = globSync(["src/**/*.ts", "pipelines/**/*.ts"], { cwd: root })
const isIn = (file: string, place: string): boolean => file === place || file.startsWith(`${place}/`)

/** Relative imports of a file, as paths from the root. */
const importsOf = (file: string): ReadonlyArray<string> => {
  const text = readFileSync(join(root, file), "utf8")
  const specifiers = text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)
  return [...specifiers].map(([, specifier]) => relative(root, join(root, dirname(file), specifier!)))
}

describe("the dependency rule", () => {
  it("knows every file", () => {
    const unknown = files.filter((file) => !Object.keys(mayImport).some((place) => isIn(file, place)))
    expect(unknown).toEqual([])
  })

  it.for(Object.entries(mayImport))("%s imports nothing but itself and what is below it", ([place, allowed]) => {
    const broken = files.filter((file) => isIn(file, place)).flatMap((file) =>
      importsOf(file).filter((imported) => ![place, ...allowed].some((below) => isIn(imported, below))).map((imported) => `${file} → ${imported}`)
    )
    expect(broken).toEqual([])
  })
})
