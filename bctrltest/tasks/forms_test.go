package tasks

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// formPages are an application in two pages, of which the first is checked by the server.
func formPages(s *site) {
	page := func(w http.ResponseWriter, r *http.Request, wrong map[string]string) {
		field := func(label, name string) string {
			note, invalid := "", ""
			if text := wrong[name]; text != "" {
				note, invalid = `<span role=alert>`+text+`</span>`, " aria-invalid=true"
			}
			return fmt.Sprintf(`<p><label>%s <input name=%s value="%s"%s></label> %s</p>`, label, name,
				html.EscapeString(r.FormValue(name)), invalid, note)
		}
		s.say(w, "Register a company, page 1 of 2", `<form method=post action=/form>`+field("Name", "name")+
			field("VAT number", "vat")+field("Phone", "phone")+`<button>Next</button></form>`)
	}
	s.mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) { page(w, r, nil) })
	vat, phone := regexp.MustCompile(`^[A-Z]{2}\d{9}$`), regexp.MustCompile(`^\+\d{8,}$`)
	s.mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		wrong := map[string]string{}
		if !vat.MatchString(r.FormValue("vat")) {
			wrong["vat"] = "Two letters and nine digits, without spaces"
		}
		if !phone.MatchString(r.FormValue("phone")) {
			wrong["phone"] = "With the country's code and without spaces: +44…"
		}
		if len(wrong) > 0 {
			page(w, r, wrong)
			return
		}
		hidden := ""
		for _, name := range []string{"name", "vat", "phone"} {
			hidden += fmt.Sprintf(`<input type=hidden name=%s value="%s">`, name, html.EscapeString(r.FormValue(name)))
		}
		s.say(w, "Register a company, page 2 of 2", `<form method=post action=/form/done>`+hidden+`
			<fieldset><legend>Legal form</legend><label><input type=radio name=kind value=ltd>Limited</label>
			<label><input type=radio name=kind value=plc>Public</label></fieldset>
			<p><label>Country <select name=country><option>France<option>Ireland<option>Iceland</select></label></p>
			<p><label>Branches <select name=branch multiple size=4><option>Cork<option>Dublin<option>Galway</select></label></p>
			<p><label>Employees <input type=number name=staff min=1></label></p>
			<p><label>About us <textarea name=about></textarea></label></p><button>Register</button></form>`)
	})
}

// form is filled in as a first try gets it wrong; what the page says is wrong is mended.
func form() task {
	mend := func(name, note, text string) step {
		return one(func(t modeltest.Turn) modeltest.Call {
			if !sees(t, note) {
				return giveUp("the page does not say what is wrong with %s", name)
			}
			return modeltest.Type(input(t, name), text)
		})
	}
	return task{
		name: "form", page: "/form",
		ask: "Register Acme: VAT number IE 123 456 789, phone 0044 20 7946 0958, a limited company in Ireland with " +
			"branches " +
			"in Cork and Galway and 42 employees. About us: \"We make everything.\" in one line, \"Since 1949.\" in a second.",
		policy: steps(typeIn("Name", "Acme"), typeIn("VAT", "IE 123 456 789"), typeIn("Phone", "0044 20 7946 0958"),
			click("button", "Next"),
			mend("VAT", "nine digits, without spaces", "IE123456789"),
			mend("Phone", "country's code", "+442079460958"),
			click("button", "Next"), click("radio", "Limited"), choose("Country", "Ireland"),
			choose("Branches", "Cork", "Galway"), typeIn("Employees", "42"),
			typeIn("About us", "We make everything.\nSince 1949."), click("button", "Register")),
		judge: func(_ context.Context, d *desk) error {
			if err := d.site.once("/form/done", "name", "Acme", "vat", "IE123456789", "phone", "+442079460958",
				"kind", "ltd", "country", "Ireland", "staff", "42", "about", "We make everything.\r\nSince 1949."); err != nil {
				return err
			}
			if got := d.site.all("/form/done")[0]["branch"]; fmt.Sprint(got) != "[Cork Galway]" {
				return fmt.Errorf("the branches are %q", got)
			}
			return nil
		},
	}
}

// wizard goes back where the last page shows that a choice was the wrong one.
func wizard() task {
	priced := func(cheap bool, button string) step {
		return one(func(t modeltest.Turn) modeltest.Call {
			price, err := strconv.Atoi(read(t.View.Outline, `Price: (\d+)`))
			if err != nil || (price < 50) != cheap {
				return giveUp("the price is %d", price)
			}
			return modeltest.Click(t.Find("button", button))
		})
	}
	return task{
		name: "wizard", page: "/wizard",
		ask: "Book the largest plan that costs less than 50 a month, prices are on the last page, for the team Platform.",
		policy: steps(click("radio", "Large"), click("button", "Next"), typeIn("Team", "Platform"), click("button", "Next"),
			priced(false, "Back"), click("button", "Back"), click("radio", "Medium"), click("button", "Next"),
			click("button", "Next"), priced(true, "Book")),
		judge: arrived("/wizard", "plan", "medium", "team", "Platform"),
	}
}

// dates are picked in a field of the browser's and in a calendar of the page's.
func dates() task {
	month := func(t modeltest.Turn) (modeltest.Call, bool) {
		if sees(t, `"March 2027"`) {
			return modeltest.Click(t.Find("gridcell", "14")), false
		}
		return modeltest.Click(t.Find("button", "next month")), true
	}
	return task{
		name: "dates", page: "/dates",
		ask: "Book a room from 28 February to 14 March 2027; we arrive at half past three in the afternoon.",
		policy: steps(typeIn("Arrival", "2027-02-28"), typeIn("Time", "15:30"), click("button", "Departure"), month,
			click("button", "Book")),
		judge: arrived("/dates", "from", "2027-02-28", "at", "15:30", "to", "2027-03-14"),
	}
}

// combobox has a list that the page makes of other elements.
func combobox() task {
	return task{
		name: "combobox", page: "/combobox",
		ask:    "Assign the ticket to Grace Hopper with the labels bug and urgent.",
		policy: steps(choose("Assignee", "Grace Hopper"), choose("Labels", "bug", "urgent"), click("button", "Save")),
		judge:  arrived("/combobox", "assignee", "u-7", "labels", "bug,urgent"),
	}
}

// suggestions come while one types, and only one of them is meant.
func suggestions() task {
	return task{
		name: "suggestions", page: "/suggestions",
		ask: "Order a taxi to Springfield in Oregon.",
		policy: steps(typeIn("Where to", "Springf"),
			one(func(modeltest.Turn) modeltest.Call { return modeltest.WaitText("Oregon", 10) }),
			click("option", "Oregon"), click("button", "Order")),
		judge: arrived("/suggestions", "place", "spr-or"),
	}
}

// slow shows its form once a report is there, which takes a while.
func slow() task {
	return task{
		name: "slow", page: "/slow",
		ask: "Start the report, and release it once it is ready.",
		policy: steps(click("button", "Start"),
			one(func(modeltest.Turn) modeltest.Call { return modeltest.WaitText("Report ready", 20) }),
			click("button", "Release")),
		judge: arrived("/slow", "report", "released"),
	}
}

// modal is a long dialog whose button lies below a bar that does not move.
func modal() task {
	return task{
		name: "modal", page: "/modal",
		ask: "Read the rules to their end and agree to them.",
		policy: steps(click("button", "Rules"),
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.ScrollIn(showing(t, `dialog "Rules"`), 10) }),
			click("checkbox", "read all"), click("button", "Agree")),
		judge: arrived("/modal", "rules", "agreed"),
	}
}
