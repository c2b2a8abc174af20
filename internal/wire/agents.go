package wire

// The bounds of an agent's options that its loop is sized by too. The others stand where
// options are checked, in the SDK, which is also where the server has them checked.
const (
	// MaxInstruction bounds an instruction, a task and what is added to the system
	// message, each, in bytes.
	MaxInstruction = 16 << 10
	// MaxAgentSteps bounds how often a model is asked in a task.
	MaxAgentSteps = 200
	// MaxStepActions bounds what one answer of the model sets off.
	MaxStepActions = 20
)
