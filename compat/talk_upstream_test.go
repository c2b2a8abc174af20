package compat

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	stripeKey     = "sk_live_upstream0123456789abcdefghij"
	slackToken    = "xoxb-upstream-0123456789-abcdefghijklmn"
	discordToken  = "MTIzNDU2Nzg5MDEyMzQ1Njc4.upstream.abcdefghijklmnopqrstuvwxyz"
	telegramToken = "123456:upstream-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"
)

// newStripe is the API of Stripe with two customers, a page each.
func newStripe(t testing.TB) *upstream {
	u := newUpstream(t, "api.stripe.com")
	mux := http.NewServeMux()
	customer := func(id, name string, metadata map[string]any) map[string]any {
		return map[string]any{"id": id, "object": "customer", "name": name, "metadata": metadata}
	}
	mux.HandleFunc("POST /v1/customers", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") != "once" {
			stripeError(w, http.StatusBadRequest, "no_idempotency_key")
			return
		}
		answerJSON(w, http.StatusOK,
			customer("cus_3", r.FormValue("name"), map[string]any{"kind": r.FormValue("metadata[kind]")}))
	})
	mux.HandleFunc("GET /v1/customers", func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("starting_after")
		id := map[string]string{"": "cus_1", "cus_1": "cus_2"}[after]
		answerJSON(w, http.StatusOK, map[string]any{
			"object":   "list",
			"url":      "/v1/customers",
			"has_more": after == "",
			"data":     []any{customer(id, "Ada", map[string]any{})},
		})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		stripeError(w, http.StatusNotFound,
			"resource_missing")
	})
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+stripeKey {
			stripeError(w, http.StatusUnauthorized, "api_key_invalid")
			return
		}
		mux.ServeHTTP(w, r)
	})
	return u
}

func stripeError(w http.ResponseWriter, status int, code string) {
	answerJSON(w, status, map[string]any{"error": map[string]any{
		"type":    "invalid_request_error",
		"code":    code,
		"message": code,
	}})
}

// newSlack is the API of Slack with two channels, a page each.
func newSlack(t testing.TB) *upstream {
	u := newUpstream(t, "slack.com")
	mux := http.NewServeMux()
	mux.HandleFunc("/api/chat.postMessage", func(w http.ResponseWriter, r *http.Request) {
		text := r.FormValue("text")
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			var in struct{ Text string }
			if !decodeJSON(w, r, &in) {
				return
			}
			text = in.Text
		}
		answerJSON(w, http.StatusOK, map[string]any{"ok": true, "message": map[string]any{"text": text}})
	})
	mux.HandleFunc("/api/conversations.list", func(w http.ResponseWriter, r *http.Request) {
		name, next := "general", "more"
		if r.FormValue("cursor") == "more" {
			name, next = "random", ""
		}
		answerJSON(w, http.StatusOK, map[string]any{
			"ok":                true,
			"channels":          []any{map[string]any{"id": "C1", "name": name}},
			"response_metadata": map[string]any{"next_cursor": next},
		})
	})
	mux.HandleFunc("/api/conversations.info", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"ok": false, "error": "channel_not_found"})
	})
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+slackToken {
			answerJSON(w, http.StatusOK, map[string]any{"ok": false, "error": "invalid_auth"})
			return
		}
		mux.ServeHTTP(w, r)
	})
	return u
}

// newDiscord is the API of Discord with one channel.
func newDiscord(t testing.TB) *upstream {
	u := newUpstream(t, "discord.com")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v10/users/@me", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"id": "2", "username": "bot"})
	})
	mux.HandleFunc("POST /api/v10/channels/1/messages", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Content string }
		attached := []any{}
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
			_ = json.Unmarshal([]byte(r.FormValue("payload_json")), &in) // without it the content is empty
			file, _, err := r.FormFile("files[0]")
			if err != nil {
				answerJSON(w, http.StatusBadRequest, map[string]any{"message": "no file", "code": 50006})
				return
			}
			content, _ := io.ReadAll(file) // of memory
			attached = append(attached, map[string]any{"id": "5", "size": len(content)})
		} else if !decodeJSON(w, r, &in) {
			return
		}
		answerJSON(w, http.StatusOK, map[string]any{"id": "9", "content": in.Content, "attachments": attached})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusNotFound, map[string]any{"message": "Unknown Channel", "code": 10003})
	})
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bot "+discordToken {
			answerJSON(w, http.StatusUnauthorized, map[string]any{"message": "401: Unauthorized", "code": 0})
			return
		}
		mux.ServeHTTP(w, r)
	})
	return u
}

// newTelegram is the API of Telegram's bots.
func newTelegram(t testing.TB) *upstream {
	u := newUpstream(t, "api.telegram.org")
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, known := strings.CutPrefix(r.URL.Path, "/bot"+telegramToken+"/")
		switch {
		case !known:
			answerJSON(w, http.StatusUnauthorized, map[string]any{"ok": false, "error_code": 401, "description": "Unauthorized"})
		case method == "getMe":
			answerJSON(w, http.StatusOK, map[string]any{"ok": true, "result": map[string]any{
				"id":         123456,
				"is_bot":     true,
				"first_name": "Bot",
				"username":   "site_bot",
			}})
		case r.FormValue("chat_id") == "404":
			answerJSON(w, http.StatusBadRequest,
				map[string]any{"ok": false, "error_code": 400, "description": "Bad Request: chat not found"})
		default:
			answerJSON(w, http.StatusOK, map[string]any{"ok": true, "result": map[string]any{
				"message_id": 1,
				"date":       1760000000,
				"chat":       map[string]any{"id": 1, "type": "private"},
				"text":       r.FormValue("text"),
			}})
		}
	})
	return u
}
