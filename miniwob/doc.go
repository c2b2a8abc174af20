// Package miniwob plays the tasks of MiniWoB++ (Farama Foundation, version 1.1.0)
// in a real browser, through the whole of the product: a runtime, the agent and
// its tools, and a model behind a provider's API.
//
// The model is scripted. A [Policy] is code that somebody wrote for a task, and
// sees what a model would see: the instruction, the view of the page and the
// pictures that it asks for. So a score measures eyes and hands, whether all
// that a task needs can be seen and done with what the agent offers, and says
// nothing about anybody's model. With a real key the same run scores a real one; the
// key comes from the environment and is stored sealed, as any key is:
//
//	export BCTRL_MINIWOB_KEY
//	go test -v -timeout 600m -run Policies -tasks all -seeds 1 . -model openai:gpt-5.6-terra
//
// A model of one's own, which may want no key, is named with its address:
//
//	go test -v -timeout 600m -run Policies -tasks all . -model openai-compatible:NAME -base-url http://127.0.0.1:11434/v1
//
// The score is over all 125 standard tasks ([Kinds]): one without a policy is lost.
package miniwob
