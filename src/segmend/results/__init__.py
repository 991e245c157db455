"""What was annotated, made into files: masks, surfaces, tables, reports, logs to replay, folders to train on."""
