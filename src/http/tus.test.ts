import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError } from '../core/errors.ts'
import type { UploadInfo } from '../store/upload-interface.ts'
import { ProtocolError } from './problem.ts'
import { announcedChecksum, announcedLength, byteCount, formatUploadMetadata, parseUploadMetadata, requireTusVersion } from './tus.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** Asserts that a header field is refused as malformed. */
function refuses(parse: () => unknown, code = 'malformed_request'): void {
  assert.throws(parse, (error) => error instanceof ProtocolError && error.code === code)
}

describe('the header fields of tus', () => {
  test('say one version of the protocol', () => {
    requireTusVersion({ 'tus-resumable': '1.0.0' })
    for (const headers of [{}, { 'tus-resumable': '0.2.2' }, { 'tus-resumable': '1.0.0 ' }])
      refuses(() => requireTusVersion(headers), 'precondition_failed')
  })

  test('say a length now or later, but not both and not neither', () => {
    assert.equal(announcedLength({ 'upload-length': '0' }), 0)
    assert.equal(announcedLength({ 'upload-length': '5497558138880' }), 5 * 1024 ** 4)
    assert.equal(announcedLength({ 'upload-defer-length': '1' }), undefined)
    refuses(() => announcedLength({}))
    refuses(() => announcedLength({ 'upload-length': '1', 'upload-defer-length': '1' }))
    refuses(() => announcedLength({ 'upload-defer-length': '0' }))
  })

  test('count bytes in plain decimal digits', () => {
    assert.equal(byteCount({}, 'upload-offset'), undefined)
    assert.equal(byteCount({ 'upload-offset': '9007199254740991' }, 'upload-offset'), Number.MAX_SAFE_INTEGER)
    for (const value of ['', '-1', '1.0', '1e3', '0x10', '01', ' 1', '9007199254740992', '99999999999999999999', 'Infinity']) {
      refuses(() => byteCount({ 'upload-offset': value }, 'upload-offset'))
    }
  })

  test('carry a checksum of sha1 or sha256 as long as it must be', () => {
    const sum = createHash('sha1').update('x').digest()
    assert.deepEqual(announcedChecksum({ 'upload-checksum': `sha1 ${sum.toString('base64')}` }), { algorithm: 'sha1', value: sum })
    assert.equal(announcedChecksum({}), undefined)
    for (const field of [
      '',
      'sha1',
      'md5 AAAA',
      `sha256 ${sum.toString('base64')}`,
      `sha1 ${sum.toString('base64')} x`,
      `sha1 ${sum.toString('base64url')}`,
      'sha1 !!!!',
    ]) {
      refuses(() => announcedChecksum({ 'upload-checksum': field }))
    }
  })

  test('carry metadata that come back as they were, whatever the path', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.boolean(), (path, executable) => {
        const packageId = '019ad000-0000-7000-8000-000000000000'
        const field = `packageId ${base64(packageId)},path ${base64(path)},executable ${base64(String(executable))}`
        const parsed = parseUploadMetadata(field)
        assert.deepEqual(parsed, { packageId, path: Buffer.from(path).toString(), executable })
        // Sound: the fields that are written.
        const written = formatUploadMetadata({ id: '', offset: 0, expiresAt: '', ...parsed } as UploadInfo)
        assert.deepEqual(parseUploadMetadata(written), executable ? parsed : { packageId, path: parsed.path })
      }),
    )
    assert.deepEqual(parseUploadMetadata(undefined), {})
    assert.deepEqual(parseUploadMetadata(''), {})
    assert.equal(formatUploadMetadata({ id: '', offset: 0, expiresAt: '' }), undefined)
    assert.deepEqual(parseUploadMetadata(`filetype ${base64('text/plain')}, digest ${base64('sha256:00')}`), {
      mediaType: 'text/plain',
      digest: 'sha256:00',
    })
  })

  test('may carry what clients send by themselves', () => {
    assert.deepEqual(parseUploadMetadata(`filename ${base64('f')},name ${base64('f')},type ${base64('t')},path ${base64('p')}`), { path: 'p' })
  })

  test('carry no metadata that mean nothing here, or are not in base64', () => {
    for (const field of ['digset AAAA', 'packageid AAAA', ',', '__proto__ AAAA', `executable ${base64('yes')}`]) {
      assert.throws(() => parseUploadMetadata(field), InputInvalidError, field)
    }
    for (const field of [
      'path AA',
      'path A===',
      'path AAAA=',
      'path !!!!',
      `path ${base64('a')} ${base64('b')}`,
      'path AAAA,path AAAA',
      'path /w==',
    ]) {
      refuses(() => parseUploadMetadata(field))
    }
  })
})
