package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/extract"
)

// members are the names that a directory has in several pages.
var members = []string{"Ada", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Ivan", "John",
	"Kathleen", "Leslie", "Margaret", "Niklaus"}

const membersOnPage = 4

// listPages are the pages of lists that the server makes.
func listPages(s *site) {
	s.mux.HandleFunc("GET /pages", func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.FormValue("page")) // none is the first
		from := page * membersOnPage
		if page < 0 || from >= len(members) {
			http.NotFound(w, r)
			return
		}
		body := "<ul>"
		for _, name := range members[from:min(from+membersOnPage, len(members))] {
			body += "<li>Member: " + name + "</li>"
		}
		body += "</ul>"
		if from+membersOnPage < len(members) {
			body += fmt.Sprintf(`<a href="?page=%d">Next page</a>`, page+1)
		}
		s.say(w, "Members", body)
	})
	s.mux.HandleFunc("GET /table", func(w http.ResponseWriter, _ *http.Request) {
		body := "<table><thead><tr><th>Company<th>Amount<th>Open</thead>"
		for i := range 80 {
			body += fmt.Sprintf(`<tr><td><a href="../deals/%d">Company %d</a><td>%d.%02d<td>%s`, i, i, i*100, i,
				[]string{"yes", "no"}[i%2])
		}
		s.say(w, "Deals", body+"</table>")
	})
}

// deal is a row of the table.
type deal struct {
	Company string      `json:"company"`
	Amount  json.Number `json:"amount"`
	Open    bool        `json:"open"`
	Link    extract.URL `json:"link"`
}

func table() task {
	row := regexp.MustCompile(`(Company \d+)\]?\(?([^ )|]*)\)? \| ([\d.]+) \| (yes|no)`)
	return task{
		name: "table", page: "/table",
		ask: "all deals",
		policy: func(t modeltest.Turn) modeltest.Call {
			rows := []map[string]any{}
			for _, m := range row.FindAllStringSubmatch(t.Page, -1) {
				rows = append(rows, map[string]any{
					"company": m[1], "link": m[2], "amount": json.Number(m[3]), "open": m[4] == "yes",
				})
			}
			return modeltest.Extracted(map[string]any{"value": rows})
		},
		call: func(ctx context.Context, d *desk, ask string) (err error) {
			d.returned, err = extract.Into[[]deal](ctx, d.rt, ask)
			return err
		},
		judge: func(_ context.Context, d *desk) error {
			deals, _ := d.returned.([]deal)
			if len(deals) != 80 {
				return fmt.Errorf("there are %d rows, and not 80", len(deals))
			}
			for i, got := range deals {
				want := deal{fmt.Sprintf("Company %d", i), json.Number(fmt.Sprintf("%d.%02d", i*100, i)), i%2 == 0,
					extract.URL(fmt.Sprintf("%s/deals/%d", d.site.url, i))}
				if got != want {
					return fmt.Errorf("row %d is %+v", i, got)
				}
			}
			return nil
		},
	}
}

func pages() task {
	var seen []string
	member := regexp.MustCompile(`Member: (\w+)`)
	return task{
		name: "pages", page: "/pages",
		ask: "List all members, of all pages.",
		policy: func(t modeltest.Turn) modeltest.Call {
			for _, m := range member.FindAllStringSubmatch(t.View.Outline, -1) {
				seen = append(seen, m[1])
			}
			if next := t.Find("link", "next page"); next.Ref != "" {
				return modeltest.Click(next)
			}
			return modeltest.DoneWith(true, "these are all", map[string]any{"members": seen})
		},
		call: func(ctx context.Context, d *desk, ask string) error {
			result, err := d.rt.Stagehand.Agent(ctx, ask, bctrl.AgentOptions{Output: json.RawMessage(
				`{"type":"object","required":["members"],"properties":{"members":{"type":"array","items":{"type":"string"}}}}`)})
			if err != nil {
				return err
			}
			var out struct{ Members []string }
			err = json.Unmarshal(result.Output, &out)
			d.returned = out.Members
			return err
		},
		judge: func(_ context.Context, d *desk) error {
			if got, _ := d.returned.([]string); !slices.Equal(got, members) {
				return fmt.Errorf("the members are %q", got)
			}
			return nil
		},
	}
}

// until scrolls until a text is in the view, and clicks what it belongs to.
func until(text string, scroll modeltest.Script) modeltest.Script {
	return func(t modeltest.Turn) modeltest.Call {
		switch n := len(t.Calls); {
		case n > 0 && t.Calls[n-1].Tool == "click":
			return modeltest.Done(true, "done")
		case sees(t, text):
			return modeltest.Click(showing(t, text))
		case refused(t.Result) || n > 50:
			return giveUp("it does not come")
		}
		return scroll(t)
	}
}

// infinite is a list that is asked for in parts as one scrolls.
func infinite() task {
	return task{
		name: "infinite", page: "/infinite",
		ask:    "Open the message of Zoe Quill, which is an old one.",
		policy: until("Zoe Quill", func(modeltest.Turn) modeltest.Call { return modeltest.Scroll(5) }),
		judge:  arrived("/infinite", "opened", "187"),
	}
}

// virtual is a list beside the middle of the page that draws what is in view.
func virtual() task {
	return task{
		name: "virtual", page: "/virtual",
		ask: "Choose the customer K-0437.",
		policy: until("K-0437", func(t modeltest.Turn) modeltest.Call {
			first, err := strconv.Atoi(read(t.View.Outline, `K-(\d+)`))
			if err != nil {
				return giveUp("the list shows no number")
			}
			return modeltest.ScrollIn(showing(t, `list "Customers"`), float64((437-first)/10)) // ten are in view
		}),
		judge: arrived("/virtual", "customer", "K-0437"),
	}
}
