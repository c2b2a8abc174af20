package tasks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// logo lies in the mounted storage.
const logo = `<svg xmlns="http://www.w3.org/2000/svg"><title>Example</title></svg>`

// sales is what a page delivers. Its sum is read out of it.
const sales = "month,amount\nJanuary,120\nFebruary,80\nMarch,233\n"

// filePages deliver files.
func filePages(s *site) {
	s.mux.HandleFunc("GET /sales.csv", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		w.Header().Set("Content-Disposition", `attachment; filename="sales.csv"`)
		_, _ = io.WriteString(w, sales)
	})
	s.mux.HandleFunc("GET /invoice.pdf", func(w http.ResponseWriter, r *http.Request) {
		pdf, err := os.ReadFile("../testdata/invoice.pdf")
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/pdf")
		_, _ = w.Write(pdf)
	})
}

func upload() task {
	return task{
		name: "upload", page: "/upload",
		ask: "Give the page the logo in/logo.svg of our files, for Acme.",
		policy: steps(typeIn("Company", "Acme"),
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.Upload(t.Find("button", "logo"), "in/logo.svg")
			}),
			click("button", "Send")),
		judge: func(_ context.Context, d *desk) error {
			if err := d.site.once("/upload", "company", "Acme"); err != nil {
				return err
			}
			if got := d.site.all("/upload")[0]["logo"]; len(got) != 2 || got[0] != "logo.svg" || got[1] != logo {
				return errors.New("another file arrived")
			}
			return nil
		},
	}
}

// readDelivered has the last file that was delivered in a turn read.
func readDelivered(t modeltest.Turn) modeltest.Call {
	if len(t.View.Downloads) == 0 {
		return giveUp("there is no file")
	}
	return modeltest.ReadFile(t.View.Downloads[len(t.View.Downloads)-1].Path, 1)
}

// delivered waits for a file where none has landed yet.
func delivered(t modeltest.Turn) modeltest.Call {
	if len(t.View.Downloads) > 0 {
		return modeltest.Wait(1)
	}
	return modeltest.WaitDownload(20)
}

func download() task {
	sum := 0
	return task{
		name: "download", page: "/download",
		ask: "Download the sales and enter their sum.",
		policy: steps(click("link", "sales"), one(delivered), one(readDelivered),
			one(func(t modeltest.Turn) modeltest.Call {
				for line := range strings.Lines(t.Page) {
					amount := 0
					_, after, _ := strings.Cut(strings.TrimSpace(line), ",")
					if _, err := fmt.Sscan(after, &amount); err == nil {
						sum += amount
					}
				}
				return modeltest.Type(input(t, "Sum"), fmt.Sprint(sum))
			}),
			click("button", "Save")),
		judge: func(ctx context.Context, d *desk) error {
			if err := d.site.once("/download", "sum", "433"); err != nil {
				return err
			}
			return d.stored(ctx, "sales.csv", sales)
		},
	}
}

// stored says what is wrong where no file of a name with a text lies in storage.
func (d *desk) stored(ctx context.Context, name, text string) error {
	for object, err := range d.client.Storage(namespace).Objects(ctx, bctrl.ObjectFilter{RuntimeID: d.rt.ID}) {
		if err != nil {
			return err
		}
		if object.Filename != name {
			continue
		}
		got, err := d.client.Storage(namespace).Get(ctx, object.LogicalPath)
		if err == nil && string(got) != text {
			return fmt.Errorf("%s holds another text", name)
		}
		return err
	}
	return fmt.Errorf("there is no file %s", name)
}

func invoice() task {
	return task{
		name: "invoice", page: "/invoice",
		ask: "Read the invoice, a PDF, and enter its number and total.",
		policy: steps(click("link", "PDF"), one(delivered), one(readDelivered),
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.Type(input(t, "Number"), read(t.Page, `Invoice (\d+)`))
			}),
			one(func(t modeltest.Turn) modeltest.Call {
				return modeltest.Type(input(t, "Total"), read(t.Page, `Total: ([\d.]+)`))
			}),
			click("button", "Save")),
		judge: arrived("/invoice", "number", "4711", "total", "120.50"),
	}
}
