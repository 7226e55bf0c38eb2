import type { Reporter, TestModule } from "vitest/node"

/**
 * Prints `N passed, N failed, N skipped` as the very last line, alone on it. A file that does not load, an error
 * outside of any test, and a run that does not get to its end (the servers did not start) count as failed.
 */
export default class CountReporter implements Reporter {
  #counts = { passed: 0, failed: 1, skipped: 0 }

  onInit(): void {
    process.once("exit", () => {
      const { failed, passed, skipped } = this.#counts
      process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
    })
  }

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>, reason: string): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      counts.failed += brokenOutsideOfTests(module)
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === "passed") counts.passed++
        else if (state === "failed") counts.failed++
        else counts.skipped++
      }
    }
    if (reason !== "passed" && counts.failed === 0) counts.failed = 1
    this.#counts = counts
  }
}

/** A module or suite has errors of its own when it can't be loaded, or when a hook fails. */
const brokenOutsideOfTests = (module: TestModule): number => {
  let broken = module.errors().length > 0 ? 1 : 0
  for (const suite of module.children.allSuites()) if (suite.errors().length > 0) broken++
  return broken
}
