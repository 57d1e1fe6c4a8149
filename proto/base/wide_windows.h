/* wide_windows.h - how does text cross the border to Windows, and what did Windows say went wrong?
 *
 * Inside, text is UTF-8; Windows takes UTF-16. Each *_windows.c converts at its own border with
 * these. */
#ifndef PROTO_BASE_WIDE_WINDOWS_H
#define PROTO_BASE_WIDE_WINDOWS_H

#include <wchar.h>

#include "proto/base/cas.h"

/* A terminated copy in ret_wide, which holds cap characters. CAS_ERR_FORMAT: not UTF-8;
 * CAS_ERR_TOO_LONG. After an error *ret_wide is "". */
CAS_CHECK enum cas_err wide_from_utf8(const char *text, wchar_t *ret_wide, size_t cap);
/* A terminated copy in ret_text, which holds cap bytes. Half a surrogate pair, which Windows allows
 * in names, becomes U+FFFD. CAS_ERR_TOO_LONG; ret_text is "" then. */
CAS_CHECK enum cas_err wide_to_utf8(const wchar_t *wide, char *ret_text, size_t cap);

/* A path as the W functions take it: absolute, with backslashes and \\?\ in front, so that it may
 * have more than 260 characters. CAS_ERR_NOT_FOUND "", CAS_ERR_FORMAT not UTF-8, CAS_ERR_TOO_LONG.
 */
CAS_CHECK enum cas_err wide_path(const char *path, wchar_t *ret_wide, size_t cap);

/* What kind of error a Win32 number is: CAS_ERR_NOT_FOUND, _DENIED, _FULL, _EXISTS, _TOO_LONG,
 * _NOMEM, _LOCKED (sharing), else CAS_ERR_IO. */
CAS_CHECK enum cas_err wide_err_of(unsigned long number);
/* The number with its English words, "error 5 (Access is denied)"; the number alone where Windows
 * has none. */
void wide_err_words(unsigned long number, struct cas_text *out);

#endif
