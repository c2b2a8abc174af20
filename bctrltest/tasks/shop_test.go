package tasks

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// goods are what the shop sells, in cents.
var goods = []struct {
	name  string
	price int
}{{"Blue mug", 850}, {"Red mug", 900}, {"Blue mug, chipped", 200}, {"Tea pot", 2400}, {"Tea spoon", 150}}

// shopPages are a shop whose cart lies at the server.
func shopPages(s *site) {
	var mu sync.Mutex
	cart, coupon := map[string]int{}, ""
	show := func(w http.ResponseWriter, note string) {
		var b strings.Builder
		fmt.Fprintf(&b, "<p role=status>%s</p><ul>", note)
		total := 0
		for _, g := range goods {
			fmt.Fprintf(&b, `<li><h3>%[1]s</h3>%[2]d.%02[3]d EUR <form method=post action=/shop/add style="display:inline">
				<input type=hidden name=item value="%[1]s"><button>Add to cart</button></form></li>`,
				html.EscapeString(g.name), g.price/100, g.price%100)
			total += cart[g.name] * g.price
		}
		b.WriteString("</ul><section aria-label=Cart><h2>Cart</h2><ul>")
		for _, g := range goods {
			if n := cart[g.name]; n > 0 {
				fmt.Fprintf(&b, "<li>%d × %s</li>", n, html.EscapeString(g.name))
			}
		}
		if coupon != "" {
			total -= total / 10
		}
		fmt.Fprintf(&b, `</ul><p>Total: %d.%02d EUR</p>
			<form method=post action=/shop/coupon><label>Coupon <input name=code></label><button>Apply</button></form>
			<form method=post action=/shop/order><h2>Checkout</h2><label>Ship to <input name=to></label>
			<label><input type=radio name=speed value=express> Express</label>
			<label><input type=radio name=speed value=slow checked> Slow</label>
			<label><input type=checkbox name=terms value=yes> I accept the terms</label>
			<button>Order now</button></form></section>`,
			total/100, total%100)
		s.say(w, "Shop", b.String())
	}
	handle := func(path string, do func(w http.ResponseWriter, r *http.Request)) {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			do(w, r)
		})
	}
	handle("GET /shop", func(w http.ResponseWriter, _ *http.Request) { show(w, "Welcome") })
	handle("POST /shop/add", func(w http.ResponseWriter, r *http.Request) {
		cart[r.FormValue("item")]++
		show(w, "In the cart: "+html.EscapeString(r.FormValue("item")))
	})
	handle("POST /shop/coupon", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") != "SPRING10" {
			show(w, "There is no such coupon.")
			return
		}
		coupon = r.FormValue("code")
		show(w, "10 % off")
	})
	handle("POST /shop/order", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("terms") != "yes" {
			show(w, "Please accept the terms.")
			return
		}
		for item, n := range cart {
			r.PostForm.Set(item, fmt.Sprint(n))
		}
		r.PostForm.Set("coupon", coupon)
		s.keep(w, r)
		s.say(w, "Thank you", "Your order is on its way.")
	})
}

func shop() task {
	add := func(item string) step {
		return one(func(t modeltest.Turn) modeltest.Call { return modeltest.Click(below(t, `"`+item+`"`, "button", "add")) })
	}
	return task{
		name: "shop", page: "/shop",
		ask: "Order two blue mugs and a tea pot, none of them damaged, with the coupon SPRING10, by express to Ada Lovelace.",
		policy: steps(add("Blue mug"), add("Blue mug"), add("Tea pot"),
			typeIn("Coupon", "SPRING10"), click("button", "Apply"),
			typeIn("Ship to", "Ada Lovelace"), click("radio", "Express"), click("checkbox", "terms"),
			click("button", "Order now")),
		judge: func(_ context.Context, d *desk) error {
			return d.site.once("/shop/order", "Blue mug", "2", "Tea pot", "1", "coupon", "SPRING10",
				"to", "Ada Lovelace", "speed", "express", "Blue mug, chipped", "")
		},
	}
}

func popup() task {
	number := ""
	return task{
		name: "popup", page: "/popup",
		ask: "Look the order number up in the delivery note, which opens in a window of its own, and enter it here.",
		policy: steps(click("link", "Delivery note"),
			one(func(t modeltest.Turn) modeltest.Call {
				if number = read(t.View.Outline, `Order number: (\S+)`); number == "" || len(t.View.Tabs) != 2 {
					return giveUp("there is no number")
				}
				return modeltest.CloseTab(string(t.View.Tabs[1].ID))
			}),
			one(func(t modeltest.Turn) modeltest.Call { return modeltest.Type(t.Find("textbox", "order"), number) }),
			click("button", "Save")),
		judge: arrived("/popup", "order", "DN-20417"),
	}
}

func cookies() task {
	return task{
		name: "cookies", page: "/cookies",
		ask: "Subscribe ada@example.com to the newsletter. Allow no cookies that are not needed.",
		policy: steps(click("button", "Only what is needed"), typeIn("E-mail", "ada@example.com"),
			click("button", "Subscribe")),
		judge: func(_ context.Context, d *desk) error {
			if err := d.site.once("/cookies/consent", "cookies", "needed"); err != nil {
				return err
			}
			return d.site.once("/cookies", "email", "ada@example.com")
		},
	}
}
