package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// row is a deal in the text of the page: id, account, three columns, amount.
var row = regexp.MustCompile(`\| (D-\d+) \| ([^|]+) \|(?:[^|]+\|){3} \$([\d,]+) \|`)

// script stands in for a model. It decides from what it is shown of the page.
func script(turn modeltest.Turn) modeltest.Call {
	quarter := turn.Find("combobox", "quarter")
	switch {
	case slices.Contains(turn.Tools, "extracted"):
		deals := []Deal{}
		for _, m := range row.FindAllStringSubmatch(turn.Page, -1) {
			amount, _ := strconv.Atoi(strings.ReplaceAll(m[3], ",", "")) // digits, by the pattern
			deals = append(deals, Deal{ID: m[1], Account: m[2], Amount: amount})
		}
		return modeltest.Extracted(map[string]any{"value": deals})
	case slices.Contains(turn.Tools, "candidates"):
		return modeltest.Candidates(modeltest.Candidate{Ref: quarter.Ref, Method: "select", Arguments: []string{"Q2"},
			Description: "the quarter shown", Confidence: 1})
	case strings.Contains(turn.Task, "Log out") && quarter.Ref == "":
		return modeltest.Done(true, "Logged out.")
	case strings.Contains(turn.Task, "Log out"):
		return modeltest.Click(turn.Find("button", "log out"))
	case !strings.Contains(turn.Task, "Q3"):
		return modeltest.LogInAndExport("quarter", "Q1")(turn)
	case quarter.Value != "Q3":
		return modeltest.Select(quarter, "Q3")
	}
	return modeltest.Done(true, "The table shows Q3.")
}
