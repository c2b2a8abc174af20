package bctrl_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// question is what the examples ask a model.
func question() map[string]any {
	return map[string]any{"model": "gpt-5.6-terra", "messages": []map[string]string{{"role": "user", "content": "Hello?"}}}
}

func ExampleCapabilitiesService_Invoke() {
	// The key is that of the group, else of the workspace, else a global one.
	answer, err := exampleClient().Capabilities.Invoke(context.Background(), bctrl.Invocation{
		Capability: "openai/chat-completions", Context: bctrl.InGroup("sales-pipeline", "emea"), Body: question(),
	})
	if err != nil {
		fmt.Println(err) // the server refused, or the provider gave no answer
		return
	}
	fmt.Println(answer.Status, answer.Credential, answer.Tier)
	fmt.Println(string(answer.Body))
	// Output:
	// 200 openai-eu group
	// {"choices":[{"message":{"content":"Hello."}}]}
}

func ExampleInvokeResponse_JSON() {
	answer, err := exampleClient().Capabilities.Invoke(context.Background(),
		bctrl.Invocation{Capability: "openai/chat-completions", Body: question()})
	if err != nil {
		fmt.Println(err)
		return
	}
	var completion struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := answer.JSON(&completion); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(completion.Choices[0].Message.Content)
	// Output: Hello.
}

func ExampleCapabilitiesService_Stream() {
	stream, err := exampleClient().Capabilities.Stream(context.Background(),
		bctrl.Invocation{Capability: "openai/chat-completions", Body: question()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stream.Status, stream.Header.Get("Content-Type"))
	for _, err := range stream.Chunks() {
		fmt.Println(err)
	}
	// Output:
	// 200 text/event-stream
	// <nil>
}

func ExampleInvokeStream_Chunks() {
	stream, err := exampleClient().Capabilities.Stream(context.Background(),
		bctrl.Invocation{Capability: "openai/chat-completions", Body: question()})
	if err != nil {
		fmt.Println(err)
		return
	}
	size := 0
	for chunk, err := range stream.Chunks() {
		if err != nil {
			fmt.Println(err) // it broke off
			return
		}
		size += len(chunk)
	}
	fmt.Println(size > 0)
	// Output: true
}

// An InvokeStream is an [io.ReadCloser].
func ExampleInvokeStream_Read() {
	stream, err := exampleClient().Capabilities.Stream(context.Background(),
		bctrl.Invocation{Capability: "openai/chat-completions", Body: question()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Close()
	head := make([]byte, 7)
	_, err = io.ReadFull(stream, head)
	fmt.Println(strings.HasPrefix(string(head), `{"statu`), err)
	// Output: true <nil>
}

// Closing a stream before its end ends the call at the provider.
func ExampleInvokeStream_Close() {
	stream, err := exampleClient().Capabilities.Stream(context.Background(),
		bctrl.Invocation{Capability: "openai/chat-completions", Body: question()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stream.Close())
	// Output: <nil>
}

// Hand the client to the provider's own SDK, with any text as the key.
func ExampleCapabilitiesService_HTTPClient() {
	openai := exampleClient().Capabilities.HTTPClient(bctrl.CallTarget{
		Capability: "openai/chat-completions", Context: bctrl.InWorkspace("sales-pipeline"),
	})
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
		"https://api.openai.com/v1/chat/completions", strings.NewReader(`{}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer unused") // as an SDK does
	resp, err := openai.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Request.URL)
	// Output: 200 https://api.openai.com/v1/chat/completions
}

func ExampleRuntimeCapabilities_Invoke() {
	answer, err := exampleRuntime().Capabilities.Invoke(context.Background(),
		bctrl.Invocation{Capability: "openai/chat-completions", Body: question()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Status, answer.Tier)
	// Output: 200 group
}

func ExampleRuntimeCapabilities_Stream() {
	stream, err := exampleRuntime().Capabilities.Stream(context.Background(),
		bctrl.Invocation{Capability: "openai/chat-completions", Body: question()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Close()
	fmt.Println(stream.Status)
	// Output: 200
}

func ExampleRuntimeCapabilities_HTTPClient() {
	openai := exampleRuntime().Capabilities.HTTPClient(bctrl.CallTarget{Capability: "openai/chat-completions"})
	resp, err := openai.Post("https://api.openai.com/v1/chat/completions", "application/json", strings.NewReader(`{}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 200
}
