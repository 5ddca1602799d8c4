package executor

/*
#define _GNU_SOURCE
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
static const char *pleiad_libc_version(void) { return gnu_get_libc_version(); }
#else
static const char *pleiad_libc_version(void) { return ""; }
#endif
static locale_t pleiad_newlocale(const char *name) { return newlocale(LC_COLLATE_MASK, name, (locale_t)0); }
static int pleiad_strcoll(const char *a, const char *b, locale_t l) { return strcoll_l(a, b, l); }
*/
import "C"

import (
	"bytes"
	"strings"
	"sync"
	"unsafe"
)

// libcVersion is what pg_collation_actual_version reports for a libc collation when the server runs the same
// glibc as this process; "" when this process has none.
func libcVersion() string { return C.GoString(C.pleiad_libc_version()) }

// byteOrdered tells whether a libc locale orders text by its bytes: C, POSIX, and C.UTF-8, whose code point
// order is UTF-8's byte order.
func byteOrdered(locale string) bool {
	switch strings.ToUpper(strings.ReplaceAll(locale, "-", "")) {
	case "C", "POSIX", "C.UTF8", "UCS_BASIC", "UCSBASIC":
		return true
	}
	return false
}

var locales sync.Map // name → C.locale_t, never freed: they are few and live as long as the process

// libcCompare gives PostgreSQL's order under a libc locale: strcoll, and the bytes where that sees no difference
// (varstr_cmp of varlena.c). ok is false when the locale is not installed here.
func libcCompare(locale string) (order func(a, b []byte) int, ok bool) {
	l, ok := locales.Load(locale)
	if !ok {
		name := C.CString(locale)
		defer C.free(unsafe.Pointer(name))
		n := C.pleiad_newlocale(name)
		if n == nil {
			return nil, false
		}
		l, _ = locales.LoadOrStore(locale, n)
	}
	loc := l.(C.locale_t)
	return func(a, b []byte) int {
		if bytes.Equal(a, b) {
			return 0
		}
		x := append(append(make([]byte, 0, len(a)+1), a...), 0)
		y := append(append(make([]byte, 0, len(b)+1), b...), 0)
		if c := C.pleiad_strcoll((*C.char)(unsafe.Pointer(&x[0])), (*C.char)(unsafe.Pointer(&y[0])), loc); c != 0 {
			return int(c)
		}
		return bytes.Compare(a, b)
	}, true
}

// ProveCollation gives the order of a collation, or nil when it cannot be proved to be the servers': provider is
// pg_collation's ('c' libc, 'b' builtin, 'd' default), version what pg_collation_actual_version reports.
func ProveCollation(provider, locale, version string, deterministic bool) func(a, b []byte) int {
	if !deterministic {
		return nil
	}
	switch provider {
	case "c":
		if byteOrdered(locale) {
			return bytes.Compare
		}
		if version == "" || version != libcVersion() {
			return nil
		}
		order, ok := libcCompare(locale)
		if !ok {
			return nil
		}
		return order
	case "b":
		return bytes.Compare // C and C.UTF-8 order by code point
	}
	return nil
}
