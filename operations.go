package bctrl

import "time"

// OperationStatus is where an operation is in its life.
type OperationStatus string

// The life of an operation. The last four are final.
const (
	OperationQueued     OperationStatus = "queued"
	OperationRunning    OperationStatus = "running"
	OperationCancelling OperationStatus = "cancelling"
	OperationSucceeded  OperationStatus = "succeeded"
	OperationFailed     OperationStatus = "failed"
	OperationCancelled  OperationStatus = "cancelled"
	OperationTimedOut   OperationStatus = "timed_out"
)

// Final reports whether an operation with this status changes no more.
func (s OperationStatus) Final() bool {
	switch s {
	case OperationSucceeded, OperationFailed, OperationCancelled, OperationTimedOut:
		return true
	}
	return false
}

// OperationInfo is what the server knows of an operation.
type OperationInfo struct {
	ID          string            `json:"id"`
	WorkspaceID string            `json:"workspaceId"`
	RuntimeID   string            `json:"runtimeId,omitempty"`
	Status      OperationStatus   `json:"status"`
	Progress    OperationProgress `json:"progress"`
	// Result is set once the operation has ended and steps ran.
	Result *ExecutionResult `json:"result,omitempty"`
	// Error says why it did not succeed.
	Error     *Error    `json:"error,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// OperationProgress says how far an operation is.
type OperationProgress struct {
	// Step counts from 1; 0 before the first.
	Step        int    `json:"step"`
	TotalSteps  int    `json:"totalSteps"`
	CurrentCall Call   `json:"currentCall,omitempty"`
	Message     string `json:"message,omitempty"`
}
