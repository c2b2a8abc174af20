package bctrl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl"
)

func ExampleRuntime_Live() {
	ctx := context.Background()
	view, err := exampleRuntime().Live(ctx, bctrl.LiveOptions{
		Interactive:  true,
		TTL:          15 * time.Minute,
		EmbedOrigins: []string{"https://app.example.com"}, // whose pages may hold it in a frame
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(view.URL) // for one person, who opens it in one browser tab
	fmt.Println(view.Interactive, view.ExpiresAt)
	// Output:
	// https://api.bctrl.ai/embed/live/token
	// true 2026-01-02 03:19:05 +0000 UTC
}

func ExampleRuntime_LiveViews() {
	views, err := exampleRuntime().LiveViews(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range views {
		fmt.Println(v.ID, v.OpenedAt != nil)
	}
	// Output: view-1 true
}

func ExampleLiveView_Revoke() {
	ctx := context.Background()
	view, err := exampleRuntime().Live(ctx, bctrl.LiveOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(view.Revoke(ctx)) // whoever has it open is told so
	// Output: <nil>
}

func ExampleRuntime_Recording() {
	recording, err := exampleRuntime().Recording(context.Background()) // of a launch with Record
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(recording.Status, recording.Duration, recording.URL)
	for _, m := range recording.Marks {
		fmt.Println(m.At, m.Kind, m.Text)
	}
	// Output:
	// recording 1m5s https://api.bctrl.ai/embed/recording/token
	// 0s page https://login.salesforce.com/
	// 2s step stagehand.act
}

func ExampleRuntime_RecordingWith() {
	recording, err := exampleRuntime().RecordingWith(context.Background(),
		bctrl.RecordingOptions{EmbedOrigins: []string{"https://app.example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(recording.Truncated)
	// Output: false
}

func ExampleRecording() {
	text, err := json.Marshal(bctrl.Recording{Status: bctrl.RecordingRunning, Duration: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	var kept struct{ DurationMs int64 }
	fmt.Println(json.Unmarshal(text, &kept), kept.DurationMs)
	// Output: <nil> 60000
}

func ExampleRecordingMark() {
	mark := bctrl.RecordingMark{At: 2 * time.Second, Kind: "step", Text: "stagehand.act"}
	text, err := json.Marshal(mark)
	fmt.Println(string(text), err)
	// Output: {"atMs":2000,"kind":"step","text":"stagehand.act"} <nil>
}
