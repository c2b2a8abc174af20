package main

import (
	"regexp"
	"strconv"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// shown is how the page says what its table holds.
var shown = regexp.MustCompile(`Showing (Q\d): (\d+) deals`)

// script stands in for a model. It decides from what it is shown of the page, but for
// its first call: that tries to leave the allowed hosts.
func script(turn modeltest.Turn) modeltest.Call {
	if len(turn.Calls) == 0 {
		return modeltest.Navigate("https://elsewhere.example/")
	}
	quarter := turn.Find("combobox", "quarter")
	if quarter.Ref == "" {
		return modeltest.LogInAndExport("", "")(turn) // as far as the login
	}
	if quarter.Value != "Q2" {
		return modeltest.Select(quarter, "Q2")
	}
	m := shown.FindStringSubmatch(turn.View.Outline)
	if m == nil || m[1] != "Q2" {
		return modeltest.WaitText("Showing Q2", 10)
	}
	deals, _ := strconv.Atoi(m[2]) // digits, by the pattern
	return modeltest.DoneWith(true, "Read from the page.", map[string]any{"quarter": m[1], "deals": deals})
}
