package agent

import (
	"context"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

// dialogTools answer what a page asks before it goes on.
func dialogTools() []tool {
	return []tool{define[answerDialog]("answer_dialog",
		"Answer the dialog that the page waits with. Nothing else can be done on the page before.",
		`"accept":{"type":"boolean","description":"True for OK, yes or leave; false for cancel, no or stay."},`+
			`"text":{"type":"string","description":"What a prompt is answered with."}`, "accept")}
}

type answerDialog struct {
	Accept bool   `json:"accept"`
	Text   string `json:"text"`
}

func (a answerDialog) do(ctx context.Context, r *run) (outcome, error) {
	if len(a.Text) > maxTyped {
		return refuse(fmt.Sprintf("not done: the text is longer than %d bytes", maxTyped)), nil
	}
	target, success := "cancel", "cancelled"
	if a.Accept {
		target, success = "accept", "accepted"
	}
	if r.dialog != "" {
		target += " " + r.dialog
	}
	r.progress("answer_dialog", target)
	err := r.page.AnswerDialog(ctx, a.Accept, a.Text)
	return r.afterAction(ctx, bctrl.ActAction{Kind: "answer_dialog", Target: target}, err, success)
}
