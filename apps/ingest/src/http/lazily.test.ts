/** What is created lazily: once, at the first call. */
import { expect, test } from '@jest/globals'
import { lazily } from './lazily.js'

test('what is created lazily is created at the first call, once', () => {
  let created = 0
  const add = lazily(() => {
    created++
    return (a: number, b: number) => a + b
  })
  expect(created).toBe(0)
  expect([add(1, 2), add(3, 4), created]).toEqual([3, 7, 1])
})

test('a failure to create it is thrown at each call', () => {
  const failing = lazily<[], never>(() => {
    throw new Error('no such schema')
  })
  expect(() => failing()).toThrow('no such schema')
  expect(() => failing()).toThrow('no such schema')
})
