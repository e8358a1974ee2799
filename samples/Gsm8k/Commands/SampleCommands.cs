using System.CommandLine;

namespace Grpo.Samples.Gsm8k;

/// <summary>The command line of the sample.</summary>
internal static class SampleCommands
{
    /// <summary>Parses a command line. Without a command it means <c>train</c>.</summary>
    public static ParseResult Parse(IReadOnlyList<string> arguments)
    {
        var root = new RootCommand("Trains a Qwen2 model on grade-school math with GRPO. The default command is train.")
        {
            TrainCommand.Create(),
            EvalCommand.Create(),
            ControlsCommand.Create(),
            ReplayCommand.Create(),
            GenerateCommand.Create(),
            PretrainCommand.Create(),
            SftCommand.Create(),
            InitCommand.Create(),
            ExportCommand.Create(),
            PlanCommand.Create(),
            PushCommand.Create(),
        };

        // "Gsm8k --steps 5" means "Gsm8k train --steps 5".
        bool hasNoCommand = arguments.Count == 0
            || (arguments[0].StartsWith('-') && arguments[0] is not ("--help" or "-h" or "-?" or "--version"));
        return root.Parse(hasNoCommand ? ["train", .. arguments] : arguments);
    }
}
