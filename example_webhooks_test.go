package bctrl_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// cannedWebhooks answers what the examples about webhooks ask.
func cannedWebhooks() canned {
	const (
		hook     = `{"id":"wh-1","url":"https://ops.example.com/bctrl","events":["runtime.failed"],"enabled":true}`
		made     = `{"webhook":` + hook + `,"secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`
		delivery = `{"id":"d-1","webhookId":"wh-1","eventId":"01980a4e-0000-7000-8000-000000000017",` +
			`"eventType":"runtime.failed","status":"delivered","attempts":1,"responseStatus":204}`
	)
	return canned{
		"POST /v1/webhooks":                               made,
		"GET /v1/webhooks":                                `{"webhooks":[` + hook + `],"nextCursor":null}`,
		"GET /v1/webhooks/wh-1":                           hook,
		"PATCH /v1/webhooks/wh-1":                         strings.Replace(hook, "true", "false", 1),
		"DELETE /v1/webhooks/wh-1":                        `{}`,
		"POST /v1/webhooks/wh-1/test":                     strings.Replace(delivery, "runtime.failed", "webhook.test", 1),
		"POST /v1/webhooks/wh-1/rotate":                   made,
		"GET /v1/webhooks/wh-1/deliveries":                `{"deliveries":[` + delivery + `],"nextCursor":null}`,
		"POST /v1/webhooks/wh-1/deliveries/d-1/redeliver": strings.Replace(delivery, "delivered", "pending", 1),
	}
}

func ExampleWebhooksService_Create() {
	hook, err := exampleClient().Webhooks.Create(context.Background(), bctrl.WebhookCreate{
		URL:    "https://ops.example.com/bctrl",
		Events: []bctrl.EventType{bctrl.EventFailed},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(hook.ID, hook.Secret) // keep the secret: it is shown once
	// Output: wh-1 [secret]
}

func ExampleWebhooksService_Get() {
	hook, err := exampleClient().Webhooks.Get(context.Background(), "wh-1")
	fmt.Println(hook.Enabled, err)
	// Output: true <nil>
}

func ExampleWebhooksService_List() {
	for hook, err := range exampleClient().Webhooks.List(context.Background()) {
		fmt.Println(hook.URL, hook.Events, err)
	}
	// Output: https://ops.example.com/bctrl [runtime.failed] <nil>
}

func ExampleWebhooksService_Page() {
	page, err := exampleClient().Webhooks.Page(context.Background(), bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleWebhooksService_Update() {
	hook, err := exampleClient().Webhooks.Update(context.Background(), "wh-1", bctrl.WebhookUpdate{Enabled: new(false)})
	fmt.Println(hook.Enabled, err)
	// Output: false <nil>
}

func ExampleWebhooksService_Delete() {
	fmt.Println(exampleClient().Webhooks.Delete(context.Background(), "wh-1"))
	// Output: <nil>
}

func ExampleWebhooksService_Test() {
	delivery, err := exampleClient().Webhooks.Test(context.Background(), "wh-1")
	fmt.Println(delivery.Status, delivery.ResponseStatus, err)
	// Output: delivered 204 <nil>
}

func ExampleWebhooksService_RotateSecret() {
	hook, err := exampleClient().Webhooks.RotateSecret(context.Background(), "wh-1", bctrl.WebhookRotation{})
	fmt.Println(hook.Secret, err)
	// Output: [secret] <nil>
}

func ExampleWebhooksService_Deliveries() {
	for d, err := range exampleClient().Webhooks.Deliveries(context.Background(), "wh-1") {
		fmt.Println(d.EventType, d.Status, d.Attempts, err)
	}
	// Output: runtime.failed delivered 1 <nil>
}

func ExampleWebhooksService_DeliveriesPage() {
	page, err := exampleClient().Webhooks.DeliveriesPage(context.Background(), "wh-1", bctrl.PageOptions{Limit: 10})
	fmt.Println(len(page.Items), err)
	// Output: 1 <nil>
}

func ExampleWebhooksService_Redeliver() {
	delivery, err := exampleClient().Webhooks.Redeliver(context.Background(), "wh-1", "d-1")
	fmt.Println(delivery.Status, err)
	// Output: pending <nil>
}

func ExampleVerifyWebhook() {
	secret := bctrl.NewSecret("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	receiver := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			return
		}
		event, err := bctrl.VerifyWebhook(r.Header, body, secret)
		if err != nil {
			http.Error(w, "not from the server", http.StatusUnauthorized)
			return
		}
		fmt.Println(event.Type) // an event may come twice: remember event.ID
	})
	forged := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader("{}"))
	answer := httptest.NewRecorder()
	receiver.ServeHTTP(answer, forged)
	fmt.Println(answer.Code)
	// Output: 401
}
