package democrm

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Year is the year of the pipeline.
const Year = 2026

// Deal is one line of the pipeline.
type Deal struct {
	// ID is "D-1001" and so on, in order of the close date.
	ID      string `json:"id"`
	Account string `json:"account"`
	Owner   string `json:"owner"`
	Stage   string `json:"stage"`
	Quarter string `json:"quarter"` // Q1 to Q4
	// CloseDate is the day it is expected to close: 2026-02-17.
	CloseDate string `json:"closeDate"`
	// Amount is in whole US dollars, Probability in percent.
	Amount      int `json:"amount"`
	Probability int `json:"probability"`
}

// stages are the stages of a deal and how probable it is to be won.
var stages = []struct {
	name        string
	probability int
}{{"Qualification", 20}, {"Needs analysis", 35}, {"Proposal", 55}, {"Negotiation", 75}, {"Verbal commitment", 90}}

var (
	accountFirst = []string{"Alder", "Bluefin", "Cobalt", "Driftwood", "Ember", "Fernhill", "Granite", "Harbour",
		"Ironbark", "Juniper", "Kestrel", "Larkspur"}
	accountLast = []string{"Logistics", "Foods", "Health", "Robotics", "Energy", "Textiles"}
	owners      = []string{"Amara Osei", "Ben Lindqvist", "Chiara Russo", "Dev Patel"}
)

// makeDeals makes up a year of deals: the same ones in every run.
func makeDeals() []Deal {
	r := rand.New(rand.NewPCG(Year, 1))
	accounts := r.Perm(len(accountFirst) * len(accountLast))
	var deals []Deal
	for day := time.Date(Year, time.January, 5, 0, 0, 0, 0, time.UTC); day.Year() == Year; day = day.AddDate(0, 0,
		4+r.IntN(6)) {
		account := accounts[len(deals)]
		stage := stages[r.IntN(len(stages))]
		deals = append(deals, Deal{
			ID:          fmt.Sprintf("D-%d", 1001+len(deals)),
			Account:     accountFirst[account%len(accountFirst)] + " " + accountLast[account/len(accountFirst)],
			Owner:       owners[r.IntN(len(owners))],
			Stage:       stage.name,
			Quarter:     "Q" + strconv.Itoa((int(day.Month())+2)/3),
			CloseDate:   day.Format(time.DateOnly),
			Amount:      500 * (16 + r.IntN(240)),
			Probability: stage.probability,
		})
	}
	return deals
}

// Deals returns the deals of a quarter, "Q1" to "Q4", or of the year for "".
func (a *App) Deals(quarter string) []Deal {
	return slices.DeleteFunc(slices.Clone(a.deals), func(d Deal) bool { return quarter != "" && d.Quarter != quarter })
}

// quarter reads the filter of a request; ok is false when it is none.
func quarter(r *http.Request) (q string, ok bool) {
	q = r.URL.Query().Get("quarter")
	return q, q == "" || slices.Contains([]string{"Q1", "Q2", "Q3", "Q4"}, q)
}

// pipeline answers with the deals of a quarter and every quarter's total.
func (a *App) pipeline(w http.ResponseWriter, r *http.Request) {
	q, ok := quarter(r)
	if !ok {
		answerError(w, http.StatusBadRequest, "There is no such quarter.")
		return
	}
	out := struct {
		Deals  []Deal         `json:"deals"`
		Totals map[string]int `json:"totals"` // quarter to US dollars
	}{a.Deals(q), make(map[string]int)}
	for _, d := range a.deals {
		out.Totals[d.Quarter] += d.Amount
	}
	answer(w, http.StatusOK, out)
}

// export delivers the deals of a quarter as a CSV file.
func (a *App) export(w http.ResponseWriter, r *http.Request) {
	q, ok := quarter(r)
	if !ok {
		answerError(w, http.StatusBadRequest, "There is no such quarter.")
		return
	}
	name := "pipeline-" + strconv.Itoa(Year) + ".csv"
	if q != "" {
		name = "pipeline-" + strconv.Itoa(Year) + "-" + strings.ToLower(q) + ".csv"
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	out := csv.NewWriter(w)
	rows := [][]string{{"Deal", "Account", "Owner", "Stage", "Quarter", "Close date", "Amount (USD)", "Probability (%)"}}
	for _, d := range a.Deals(q) {
		rows = append(rows, []string{d.ID, d.Account, d.Owner, d.Stage, d.Quarter, d.CloseDate, strconv.Itoa(d.Amount),
			strconv.Itoa(d.Probability)})
	}
	if out.WriteAll(rows) == nil {
		a.mu.Lock()
		a.counts.Exports++
		a.mu.Unlock()
	}
}
