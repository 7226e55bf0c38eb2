import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { divideRounded, formatScaled, parseScaled } from "../../src/domain/Decimal.ts"

const scale = fc.integer({ min: 0, max: 12 })
const digits = (min: number, max: number) => fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: min, maxLength: max })
const decimal = fc.tuple(fc.constantFrom("", "-"), digits(1, 40), fc.option(digits(0, 40), { nil: undefined }))

describe("parseScaled", () => {
  it("is the integer of all digits, divided by the power of ten that is too many, half away from zero", () => {
    fc.assert(fc.property(decimal, scale, ([sign, whole, fraction], scale) => {
      const text = `${sign}${whole}${fraction === undefined ? "" : `.${fraction}`}`
      const all = BigInt(`${whole}${fraction ?? ""}`) * (sign === "-" ? -1n : 1n) * 10n ** BigInt(scale)
      expect(parseScaled(text, scale)).toBe(divideRounded(all, 10n ** BigInt(fraction?.length ?? 0)))
    }))
  })

  it.each([
    ["0.005", 2, 1n], ["-0.005", 2, -1n], ["0.0049999999999999999999", 2, 0n], ["2.5", 0, 3n], ["-2.5", 0, -3n], ["9.995", 2, 1000n], ["-0", 2, 0n], ["1.", 1, 10n]
  ])("%s at scale %i is %s", (text, scale, expected) => {
    expect(parseScaled(text, scale)).toBe(expected)
  })

  it.each(["NaN", "Infinity", "-Infinity", "", "-", ".5", "1e3", " 1", "1 ", "+1", "0x10", "1,5", "1.2.3", "٣"])("%j is no finite decimal", (text) => {
    expect(parseScaled(text, 2)).toBeUndefined()
  })
})

describe("formatScaled", () => {
  it("is read back as what it was, at its own scale", () => {
    fc.assert(fc.property(fc.bigInt(), scale, (scaled, scale) => {
      const text = formatScaled(scaled, scale)
      expect(parseScaled(text, scale)).toBe(scaled)
      expect(text).toMatch(scale === 0 ? /^-?\d+$/ : new RegExp(`^-?\\d+\\.\\d{${scale}}$`))
    }))
  })
})

describe("divideRounded", () => {
  it("is never off by more than a half, and by a half only away from zero", () => {
    fc.assert(fc.property(fc.bigInt(), fc.bigInt({ min: 1n }), (numerator, denominator) => {
      const rest = numerator - divideRounded(numerator, denominator) * denominator
      const twice = (rest < 0n ? -rest : rest) * 2n
      expect(twice <= denominator).toBe(true)
      if (twice === denominator) expect(rest > 0n).toBe(numerator < 0n)
    }))
  })
})
