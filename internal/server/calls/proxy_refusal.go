package calls

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// foreignError is a refusal in a form that the SDKs of all providers read: those of
// OpenAI, Anthropic and Google look into the object error, GitHub's at message, AWS's
// at code and message. The other fields are those of every refusal of this server.
type foreignError struct {
	Type        string                      `json:"type"`
	Error       foreignCause                `json:"error"`
	Message     string                      `json:"message"`
	Code        string                      `json:"code"`
	ReasonClass string                      `json:"reasonClass"`
	RequestID   string                      `json:"requestId,omitempty"`
	Hint        string                      `json:"hint,omitempty"`
	Details     wire.Details[bctrl.Problem] `json:"details,omitzero"`
}

// foreignCause is the object error in it.
type foreignCause struct {
	Type    string `json:"type"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param"`
}

// s3Error is a refusal as S3 writes one.
type s3Error struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
}

// refuseForeign answers a request of a provider's own SDK with a refusal. Many SDKs
// show their users the message alone, so it says what to do, too.
func refuseForeign(w http.ResponseWriter, rq *web.Request, e *bctrl.Error) {
	status := refusalStatus(w.Header(), e)
	message := "bctrl: " + e.Message
	if e.Hint != "" {
		message += " (" + e.Hint + ")"
	}
	if rq.Header.Get("X-Amz-Content-Sha256") != "" { // S3 alone has it, and reads XML
		text, err := xml.Marshal(s3Error{Code: e.Code, Message: message, RequestID: rq.ID})
		if err != nil {
			text = nil // of strings alone: cannot fail
		}
		h := w.Header()
		h.Set("Content-Type", "application/xml")
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write(append([]byte(xml.Header), text...)) // the caller is gone; there is nobody to tell
		return
	}
	class := wire.ReasonClass(e.Status)
	out := foreignError{
		Type: "error",
		Error: foreignCause{
			Type:    class,
			Code:    e.Code,
			Message: message,
			Param:   e.Field,
		},
		Message:     message,
		Code:        e.Code,
		ReasonClass: class,
		RequestID:   rq.ID,
		Hint:        e.Hint,
		Details:     wire.Details[bctrl.Problem]{Problems: e.Problems},
	}
	body, err := json.Marshal(out)
	if err != nil {
		body = web.EncodeError(e, rq.ID) // of strings alone: cannot fail
	}
	web.WriteJSON(w, status, body)
}

// refusalStatus returns the status with which a provider's SDK is refused. SDKs ask
// again by themselves, most after 408, 409, 429 and 5xx, GitHub's after all but a few
// of 4xx. Where that would change nothing, it sets the headers by which some of them
// are told so, and returns a status after which none does. The state of a runtime may
// change, so what it refuses may be asked again.
func refusalStatus(h http.Header, e *bctrl.Error) int {
	area, what, _ := strings.Cut(e.Code, ".")
	switch {
	case what == "tampered": // and stays so
	case e.Status >= 500, e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests,
		e == errCapabilityChanged:
		return e.Status
	case area == "runtimes":
		return e.Status
	}
	h.Set("X-Should-Retry", "false")
	h.Set("Stripe-Should-Retry", "false")
	if !slices.Contains([]int{400, 401, 403, 404, 410, 422, 451}, e.Status) {
		return http.StatusUnprocessableEntity
	}
	return e.Status
}
