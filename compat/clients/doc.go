// Package clients runs the test suites of others' browser clients, unchanged,
// with a runtime in place of each browser that they start, and keeps count: a
// test that has passed once has to pass from then on.
//
// The suites are those of the modules that go.mod pins; go test builds them from
// the module cache. A suite starts its browsers as it always does, by an
// executable. It is given bctrl's bridge to a runtime (executable_test.go), which
// says where to connect to, as Chromium would, and brings files to and fro. One
// thing is changed in the suites, when they are built: their pages come over http
// from this machine, since a runtime opens no files of it.
//
// testdata has a list for each suite: of each test what became of it in a plain
// Chromium, in a runtime, and why where that differs. Tests that are about the
// process of a browser, and not about what it does, are counted apart.
//
//	make clients                   all of both suites, in a few minutes
//	make clients RECORD=1          the same, and writes the lists anew
//	make clients PLAIN=1 RECORD=1  the same with plain Chromium
//
// Without BCTRL_CLIENTS, go test runs a sample.
package clients
