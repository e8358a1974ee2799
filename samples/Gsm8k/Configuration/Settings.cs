using System.CommandLine;
using Microsoft.Extensions.Configuration;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The settings of a command, combined from several sources. An unknown name in any of them is an error.
/// </summary>
/// <remarks>
/// Each source overrides those before it: values that fit the model, a preset, the answer format and the limits in the model's task.json,
/// appsettings.json, environment variables (GRPO__LearningRate=1e-5), and the command line (--learning-rate 1e-5).
/// </remarks>
internal sealed record Settings(RunSettings Run, GrpoOptions Grpo, TrainerOptions Trainer, PromptForm Form)
{
    private static readonly IReadOnlyList<(string Key, Option<string?> Option)> All =
    [
        .. SettingOptions.For("Run", new RunSettings()),
        .. SettingOptions.For("Grpo", new GrpoOptions()),
        .. SettingOptions.For("Trainer", new TrainerOptions { Resume = true }),
    ];

    /// <summary>Adds the options of some sections to a command.</summary>
    public static void AddTo(Command command, params string[] sections)
    {
        foreach ((_, Option<string?> option) in All.Where(entry => sections.Contains(entry.Key.Split(':')[0])))
        {
            command.Options.Add(option);
        }
    }

    /// <summary>Reads the settings from all sources.</summary>
    /// <param name="command">The parsed command line.</param>
    /// <param name="preset">The preset to use instead of the one that the sources name, or null to use theirs.</param>
    /// <exception cref="InvalidOperationException">A name is unknown or a value cannot be converted.</exception>
    public static Settings Read(ParseResult command, string? preset = null)
    {
        Dictionary<string, string?> given = [];
        foreach ((string key, Option<string?> option) in All)
        {
            if (command.GetResult(option) is not null)
            {
                given[key] = command.GetValue(option);
            }
        }

        IConfigurationRoot configuration = new ConfigurationBuilder()
            .AddJsonFile(Path.Combine(AppContext.BaseDirectory, "appsettings.json"), optional: true)
            .AddJsonFile(Path.GetFullPath("appsettings.json"), optional: true)
            .AddEnvironmentVariables()
            .AddInMemoryCollection(given)
            .Build();

        RunSettings run = Bind(configuration, "Run", new RunSettings());
        run.Preset = preset ?? run.Preset;
        GrpoOptions options = run.Preset is { Length: > 0 } named ? GrpoPresets.Get(named) : new GrpoOptions();
        if (run.Model is not { Length: > 0 })
        {
            Defaults.FitTiny(options, trainsAdapter: run.LoraRank is not null);
        }

        PromptForm form = PromptForm.Load(run.Model, configuration["Run:AnswerFormat"] is null ? null : run.AnswerFormat, run.SystemPrompt);
        run.AnswerFormat = form.Format;
        options.Sampling = options.Sampling with
        {
            MaxPromptTokens = form.Trained?.MaxPromptTokens ?? options.Sampling.MaxPromptTokens,
            MaxCompletionTokens = form.Trained?.MaxCompletionTokens ?? options.Sampling.MaxCompletionTokens,
        };

        TrainerOptions trainer = run.Model is { Length: > 0 } ? new TrainerOptions() : Defaults.TinyTrainer();
        trainer.Resume = true; // a folder with a run in it means that the run continues
        return new Settings(run, Bind(configuration, "Grpo", options), Bind(configuration, "Trainer", trainer), form);
    }

    /// <summary>Prints to the error stream which settings override the model's own task.</summary>
    public void SayNotes()
    {
        foreach (string note in Form.Notes(Run.Model, Grpo.Sampling))
        {
            Console.Error.WriteLine($"Note: {note}");
        }
    }

    private static T Bind<T>(IConfiguration configuration, string section, T values)
        where T : class
    {
        configuration.GetSection(section).Bind(values, binder => binder.ErrorOnUnknownConfiguration = true);
        return values;
    }
}
