package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl"
)

// failure is a failed request as this package's own code sees it.
type failure struct {
	err *bctrl.Error
	// complaint is what the provider did not like of the question.
	complaint complaint
	// retryable says that the same request may succeed later: after retryAfter, if it
	// is set.
	retryable  bool
	retryAfter time.Duration
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// forCaller returns err as callers of this package see it: a context's error or
// a *bctrl.Error.
func forCaller(err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.err
	}
	return err
}

// refusedAnswer makes the failure of an answer that is not a success. Of the
// provider's own words only a code that we know is repeated: the rest may
// quote the prompt.
func refusedAnswer(resp *http.Response, body []byte) *failure {
	status := resp.StatusCode
	said := parseError(body)
	f := &failure{retryAfter: retryAfter(resp.Header)}
	answered := "the provider answered " + fmt.Sprint(status)
	if known := said.knownCode(); known != "" {
		answered += " " + known
	}
	e := &bctrl.Error{Status: http.StatusBadGateway}
	switch {
	case said.hasCode("insufficient_quota", "billing_error") || status == http.StatusPaymentRequired:
		e.Code, e.Message = "model.quota", answered+": the account has no credit left"
	case status == http.StatusUnauthorized || status == http.StatusForbidden || said.hasCode("invalid_api_key"):
		e.Code, e.Message = "model.unauthorized", answered+": it refuses the API key"
		e.Hint = "check the credential's key and what it may do"
	case status == http.StatusNotFound:
		e.Code, e.Message = "model.not_found", answered+": no such model or address"
		e.Hint = "check the model's name and the credential's baseUrl"
	case status == http.StatusTooManyRequests:
		e.Code, e.Message, f.retryable = "model.rate_limited", answered+": too many requests", true
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status >= 500:
		e.Code, e.Message, f.retryable = "model.unavailable", answered, true
	case said.hasCode("context_length_exceeded", "request_too_large") || status == http.StatusRequestEntityTooLarge:
		e.Code, e.Message = "model.prompt_too_long", answered+": the prompt is too long for the model"
	default:
		e.Code, e.Message = "model.refused", answered+": it refuses the request"
	}
	if e.Code == "model.refused" || e.Code == "model.not_found" || status >= 500 {
		f.complaint = complaintOf(said.Param, said.words(body))
	}
	if f.complaint != noComplaint {
		f.retryable = false // it would fail again
	}
	if f.complaint == aboutEffort {
		e = unsupported()
	}
	e.Retryable = f.retryable
	f.err = e
	return f
}

// IsAnswer reports whether a code is of an answer that cannot be used, so that another
// may come to the same question.
func IsAnswer(code string) bool {
	return code == codeBadAnswer || code == codeEmpty || code == codeTooLong
}

// codeBadAnswer and codeTooLong are the codes of an answer that cannot be read.
const (
	codeBadAnswer = "model.bad_answer"
	codeTooLong   = "model.answer_too_long"
)

// codeEmpty is the code of an answer without a message.
const codeEmpty = "model.empty_answer"

func emptyAnswer() *bctrl.Error {
	return &bctrl.Error{
		Status:  http.StatusBadGateway,
		Code:    codeEmpty,
		Message: "the provider answered without a message",
		Hint:    "ask again, or choose another model",
	}
}

func answerTooLong() *bctrl.Error {
	return &bctrl.Error{
		Status:  http.StatusBadGateway,
		Code:    codeTooLong,
		Message: "the provider's answer is longer than 1 MB",
		Hint:    "bound the answer's tokens, or choose another model",
	}
}

func badAnswer(why string) *bctrl.Error {
	return &bctrl.Error{
		Status:  http.StatusBadGateway,
		Code:    codeBadAnswer,
		Message: "the provider's answer cannot be used: " + why,
		Hint:    "check that the credential's baseUrl is the root of the provider's API",
	}
}

// providerError is the error object of both shapes.
type providerError struct {
	Type  string          `json:"type"`
	Code  json.RawMessage `json:"code"` // a string, or a number from Google
	Param string          `json:"param"`
	// Message is never repeated: it may quote the prompt.
	Message string `json:"message"`
}

// maxWords bounds how much of a refusal is searched for what it is about, in bytes.
const maxWords = 4 << 10

// words are what the refusal says, in whichever form.
func (e providerError) words(body []byte) string {
	if e.Message != "" {
		body = []byte(e.Message)
	}
	return string(body[:min(len(body), maxWords)])
}

// parseError reads what it can; an answer in another form says nothing.
func parseError(body []byte) providerError {
	type envelope struct {
		Error providerError `json:"error"`
	}
	var one envelope
	if json.Unmarshal(body, &one) == nil {
		return one.Error
	}
	var list []envelope // Google's endpoint answers a list
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		return list[0].Error
	}
	return providerError{}
}

// refusalInside returns the status of a refusal that came as a success, as gateways send
// it when the provider behind them fails; 0 for none.
func refusalInside(body []byte) int {
	var inside struct {
		Error   json.RawMessage `json:"error"`
		Choices json.RawMessage `json:"choices"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(body, &inside) != nil || len(inside.Choices) > 0 || len(inside.Content) > 0 ||
		len(inside.Error) == 0 || inside.Error[0] != '{' {
		return 0
	}
	var status int
	if json.Unmarshal(parseError(body).Code, &status) != nil || status < 400 || status > 599 {
		return http.StatusBadGateway
	}
	return status
}

func (e providerError) codes() [2]string {
	var code string
	_ = json.Unmarshal(e.Code, &code) // stays empty for a number
	return [2]string{code, e.Type}
}

func (e providerError) hasCode(words ...string) bool {
	for _, said := range e.codes() {
		for _, w := range words {
			if said == w {
				return true
			}
		}
	}
	return false
}

// knownCode returns the most telling word that is one of ours to repeat.
func (e providerError) knownCode() string {
	for _, said := range e.codes() {
		switch said {
		case "insufficient_quota", "billing_error", "invalid_api_key", "rate_limit_exceeded", "rate_limit_error",
			"model_not_found",
			"context_length_exceeded", "request_too_large", "overloaded_error", "api_error", "authentication_error",
			"permission_error",
			"not_found_error", "invalid_request_error", "unsupported_parameter", "unsupported_value", "server_error",
			"timeout_error",
			"unsupported_country_region_territory", "content_policy_violation":
			return said
		}
	}
	return ""
}
