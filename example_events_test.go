package bctrl_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl"
)

// cannedEvents answers what the examples about events ask.
func cannedEvents() canned {
	const (
		of        = `"timestamp":"2026-01-02T03:04:05Z","workspaceId":"ws-1","runtimeId":"rt-1"`
		navigated = `{"seq":17,"id":"01980a4e-0000-7000-8000-000000000017","type":"runtime.navigated",` + of +
			`,"data":{"tab":"t1","url":"https://crm.example.com/deals"}}`
		stopped = `{"seq":18,"id":"01980a4e-0000-7000-8000-000000000018","type":"runtime.stopped",` + of +
			`,"data":{"alias":"crm"}}`
		stream = "id: 17\nevent: runtime.navigated\ndata: " + navigated + "\n\n" +
			"id: 18\nevent: runtime.stopped\ndata: " + stopped + "\n\n"
	)
	return canned{
		"GET /v1/workspaces/ws-1/runtimes/crm/events": stream,
		"GET /v1/updates": stream,
		"POST /v1/workspaces/ws-1/runtimes/crm/events/wait": `{"event":` + navigated +
			`,"waitStatus":"completed","after":17}`,
	}
}

func ExampleRuntime_Events() {
	for event, err := range exampleRuntime().Events(context.Background()) {
		if err != nil {
			panic(err)
		}
		switch d := event.Data.(type) {
		case bctrl.NavigatedEvent:
			fmt.Println("now at", d.URL)
		case bctrl.GapEvent:
			fmt.Println("some are missing")
		case bctrl.StoppedEvent: // the last one
			fmt.Println(d.Alias, "has stopped")
		}
	}
	// Output:
	// now at https://crm.example.com/deals
	// crm has stopped
}

func ExampleRuntime_WaitEvent() {
	event, err := exampleRuntime().WaitEvent(context.Background(), bctrl.WaitEventOptions{
		Types: []bctrl.EventType{bctrl.EventNavigated, bctrl.EventDialog},
	})
	fmt.Println(event.Type, err)
	// Output: runtime.navigated <nil>
}

func ExampleClient_Updates() {
	options := bctrl.UpdatesOptions{Types: []bctrl.EventType{bctrl.EventStopped, bctrl.EventFailed}, After: 16}
	for update, err := range exampleClient().Updates(context.Background(), options) {
		fmt.Println(update.Seq, update.Type, err)
		if update.Type == bctrl.EventStopped {
			break // or end the context
		}
	}
	// Output:
	// 17 runtime.navigated <nil>
	// 18 runtime.stopped <nil>
}

func ExampleEvent_Within() {
	event := bctrl.NewEvent(time.Now(), bctrl.NavigatedEvent{Tab: "T1", URL: "https://crm.example.com/deals"})
	seen := event.Within(bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"mail.example.com"}}})
	fmt.Printf("%+v\n", seen.Data)
	// Output: {Tab:T1 URL:}
}

func ExampleEvent_UnmarshalJSON() {
	var event bctrl.Event
	err := event.UnmarshalJSON([]byte(`{"seq":19,"type":"runtime.stopped","data":{"alias":"crm"}}`))
	stopped, ok := event.Data.(bctrl.StoppedEvent)
	fmt.Println(event.Seq, stopped.Alias, ok, err)
	// Output: 19 crm true <nil>
}

func ExampleNewEvent() {
	fmt.Println(bctrl.NewEvent(time.Now(), bctrl.TabClosedEvent{Tab: "T1"}).Type)
	// Output: runtime.tab_closed
}

func ExampleUnknownEvent_MarshalJSON() {
	var event bctrl.Event
	err := event.UnmarshalJSON([]byte(`{"type":"runtime.slept","data":{"hours":8}}`))
	text, _ := event.Data.(bctrl.UnknownEvent).MarshalJSON()
	fmt.Println(string(text), err)
	// Output: {"hours":8} <nil>
}

func ExampleEventTypes() {
	fmt.Println(bctrl.EventTypes()[0])
	// Output: runtime.launched
}
