package store

import "context"

// provenTable is a table whose rows are proven.
type provenTable struct {
	table, columns string
	scan           provenScan[struct{}]
	// noted is set where rows can be checked while the key is away, because the
	// prover noted them before.
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
		{"agent_cache", cachedTaskColumns, proofOf(scanCachedTask), false},
		{"webhook_deliveries", deliveryColumns, proofOf(scanDelivery), false},
		{"events", eventColumns, proofOf(scanEvent), false},
	}
}

// proofOf is a scan that returns the proof of a row alone.
func proofOf[T any](scan provenScan[T]) provenScan[struct{}] {
	return func(row scanner) (none struct{}, p provenRow, err error) {
		_, p, err = scan(row)
		return none, p, err
	}
}

// NoteRows lets the prover note every row that may be read while its key is away. It
// notes those that are written after this by itself.
func (db *DB) NoteRows(ctx context.Context) error {
	return db.Write(ctx, func(tx *Tx) error { // in the writer, which sees every write before it
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
