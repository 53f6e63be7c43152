"""The logic of the GitHub Action, behind ``finetune-gate github``: inputs and outputs, summary, comment, annotations.

    inputs = read_inputs(os.environ)         # settings.py: what the action sets, and what the runner does
    write_outputs(inputs.runner.output, {"decision": "promote"})

Whatever a gate reports about holds foreign text: names, answers, reasons. A runner takes commands from lines of the log
and from files, so that such text is held off in one place each: `outputs.py`, `log_commands.py`.
"""
