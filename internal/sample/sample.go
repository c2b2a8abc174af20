// Package sample has tests of many cases take a part of them at each run, and all at night.
package sample

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// variable is the environment variable that has tests take all of their cases where it is "all".
const variable = "BCTRL_CASES"

// Number is the n-th part of a number of cases that a test draws.
func Number(n, cases int) int {
	if All() {
		return cases
	}
	return cases / n
}

// Of returns each n-th of a test's cases, from one that is drawn and logged.
func Of[T any](t testing.TB, n int, cases []T) []T {
	t.Helper()
	takes := Each(t, n)
	var some []T
	for i, c := range cases {
		if takes(i) {
			some = append(some, c)
		}
	}
	return some
}

// Each is [Of] for who counts cases: it returns whether the i-th, from 0, is one to take.
func Each(t testing.TB, n int) (takes func(i int) bool) {
	t.Helper()
	if All() {
		return func(int) bool { return true }
	}
	first := rand.IntN(n)
	t.Logf("of each %d cases the one after %d; %s=all takes every one", n, first, variable)
	return func(i int) bool { return i%n == first }
}

// checks is rapid's flag of how often a property is tried.
const checks = "rapid.checks"

// Checks has each property that a test checks with rapid tried n times, since one try takes long; as often as
// others at night, and as often as the flag says where it is given. The flag is of all tests of a package, so
// the test must run beside no other: one that is parallel panics.
func Checks(t testing.TB, n int) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == checks })
	if All() || given {
		return
	}
	t.Setenv(variable, os.Getenv(variable)) // which a parallel test may not
	f := flag.Lookup(checks)
	before := f.Value.String()
	set := func(value string) {
		if err := f.Value.Set(value); err != nil {
			t.Errorf("setting -%s: %v", checks, err)
		}
	}
	set(strconv.Itoa(n))
	t.Cleanup(func() { set(before) })
}

// All reports whether tests are to take all of their cases.
func All() bool { return os.Getenv(variable) == "all" }
