package store

import "context"

// provenTable is a table whose rows are proven.
type provenTable struct {
	table, columns string
	scan           provenScan[struct{}]
	// noted is set where rows are known again while the key is away.
	noted bool
}

// provenTables are all of them.
func provenTables() []provenTable {
	return []provenTable{
		{"organizations", organizationColumns, proofOf(scanOrganization), true},
		{"api_keys", apiKeyColumns, proofOf(scanAPIKey), true},
		{"workspaces", workspaceColumns, proofOf(scanWorkspace), true},
		{"ai_mounts", mountPinColumns, proofOf(scanMountPin), true},
		{"browser_profiles", profileColumns, proofOf(scanProfile), true},
		{"runtimes", runtimeColumns, proofOf(scanRuntimeRow), true},
		{"runtime_tokens", runtimeTokenColumns, proofOf(scanRuntimeToken), true},
		{"operations", operationColumns, proofOf(scanOperation), true},
		{"objects", objectColumns, proofOf(scanObject), false},
		{"invoke_rates", rateColumns, proofOf(scanRate), false},
	}
}

// proofOf reads no more of a row than its proof needs.
func proofOf[T any](scan provenScan[T]) provenScan[struct{}] {
	return func(row scanner) (none struct{}, p provenRow, err error) {
		_, p, err = scan(row)
		return none, p, err
	}
}

// NoteRows has the prover meet every row that may be asked for while its key is
// away. What is written from then on it has met, too.
func (db *DB) NoteRows(ctx context.Context) error {
	return db.Write(ctx, func(tx *Tx) error { // after what was written before, which a reader might not see yet
		for _, t := range provenTables() {
			if !t.noted {
				continue
			}
			_, err := manyProven(ctx, tx.Queries, checked(tx.Queries, t.scan), "SELECT "+t.columns+" FROM "+t.table)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
