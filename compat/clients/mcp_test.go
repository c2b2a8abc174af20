package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// toolServer is a program that gives agents tools over its standard input and output:
// a server of the Model Context Protocol, 2025-06-18, whose messages are lines of JSON.
type toolServer struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	next int
}

// startTools starts a tool server, which ends with the test.
func startTools(t *testing.T, command ...string) *toolServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = environment(t)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		cancel()
		_ = cmd.Wait() // it was killed
	})
	s := &toolServer{t: t, in: in, out: bufio.NewReaderSize(out, 1<<20)}
	s.call("initialize", map[string]any{
		"protocolVersion": "2025-06-18",
		"capabilities":    map[string]any{},
		"clientInfo":      map[string]any{"name": "compat", "version": "1"},
	})
	s.send(map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"})
	return s
}

func (s *toolServer) send(msg map[string]any) {
	s.t.Helper()
	text, err := json.Marshal(msg)
	require.NoError(s.t, err)
	_, err = s.in.Write(append(text, '\n'))
	require.NoError(s.t, err)
}

// call asks for something and waits for its answer.
func (s *toolServer) call(method string, params map[string]any) json.RawMessage {
	s.t.Helper()
	s.next++
	s.send(map[string]any{"jsonrpc": "2.0", "id": s.next, "method": method, "params": params})
	for {
		line, err := s.out.ReadBytes('\n')
		require.NoError(s.t, err, "%s", line)
		var msg struct {
			ID     int
			Result json.RawMessage
			Error  json.RawMessage
		}
		if json.Unmarshal(line, &msg) != nil || msg.ID != s.next {
			continue // a notification
		}
		require.Nil(s.t, msg.Error, "%s: %s", method, msg.Error)
		return msg.Result
	}
}

// tool calls a tool and returns the text and the kinds of what came of it.
func (s *toolServer) tool(name string, arguments map[string]any) string {
	s.t.Helper()
	var result struct {
		IsError bool
		Content []struct{ Type, Text string }
	}
	answer := s.call("tools/call", map[string]any{"name": name, "arguments": arguments})
	require.NoError(s.t, json.Unmarshal(answer, &result))
	var text strings.Builder
	for _, part := range result.Content {
		fmt.Fprintf(&text, "[%s] %s\n", part.Type, part.Text)
	}
	require.False(s.t, result.IsError, "%s: %s", name, text.String())
	return text.String()
}

// environment is that of programs, which get nowhere but to this machine.
func environment(t *testing.T) []string {
	t.Helper()
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LANG=C.UTF-8",
		"HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1,localhost",
		"CHROME_DEVTOOLS_MCP_NO_UPDATE_CHECKS=1",
	}
}
