package model

import (
	"context"
	"regexp"

	"github.com/bctrl-go/bctrl"
)

// Viewer is a [Chat] that knows whether a model takes pictures.
type Viewer interface {
	// Sees reports whether the model, of that name or the default one, is known to
	// take pictures and has not refused one.
	Sees(ctx context.Context, model string) bool
}

// Sees reports whether pictures are of use in a request to a model of chat. It is
// for deciding without being asked to: a picture that is sent to a model which
// turns out to take none is left out, see [Response].
func Sees(ctx context.Context, chat Chat, model string) bool {
	v, ok := chat.(Viewer)
	return ok && v.Sees(ctx, model)
}

// Namer is a [Chat] that knows which model it asks.
type Namer interface {
	// Names returns who is asked by a request that names model, or the default one where
	// it names none. It is false where nobody may be asked, or it is not known.
	Names(ctx context.Context, model string) (provider bctrl.AIProvider, name string, known bool)
}

// NameOf returns who is asked by a request to a model of chat, before anything is sent.
func NameOf(ctx context.Context, chat Chat, model string) (provider bctrl.AIProvider, name string, known bool) {
	n, ok := chat.(Namer)
	if !ok {
		return "", "", false
	}
	return n.Names(ctx, model)
}

// sight is what a model's name tells about pictures.
type sight int

const (
	sightUnknown sight = iota
	sighted
	blind
)

// families tell whether a model takes pictures, the first that fits. The makers'
// lists: platform.openai.com/docs/models, docs.anthropic.com/en/docs/about-claude/models,
// ai.google.dev/gemini-api/docs/models and, for what compatible servers run,
// ollama.com/search?c=vision and docs.vllm.ai/en/latest/models/supported_models.html.
func families() []family {
	return []family{
		{blind, `gpt-3\.5|gpt-4-0613|gpt-4-32k|^gpt-4$|o1-mini|o1-preview|o3-mini|gpt-oss|claude-(2|instant)|` +
			`embedding|whisper|deepseek|codestral|codellama|coder|qwq|phi-?3(\.5)?-(mini|small|medium)|llama-?3\.[13]\b`},
		{sighted, `gpt-(4o|4\.|4-turbo|[5-9])|chatgpt-4o|^o[1-9]|claude|gemini|gemma-?3|llava|pixtral|` +
			`vision|(^|[-._/\d])(vl|v)([-.:\d]|$)|minicpm-?v|internvl|llama-?4|mistral-small-?3\.[1-9]|` +
			`mistral-medium-?3|moondream|molmo|idefics|paligemma|phi-?4-multimodal`},
	}
}

type family struct {
	sight sight
	names string
}

// sightOf tells what is known of a model by its name. An unknown model of a maker
// whose models all see is taken to see; one of a compatible server is not.
func sightOf(p bctrl.AIProvider, model string) sight {
	for _, f := range families() {
		if regexp.MustCompile("(?i)" + f.names).MatchString(model) {
			return f.sight
		}
	}
	if p == bctrl.OpenAICompatible {
		return sightUnknown
	}
	return sighted
}
