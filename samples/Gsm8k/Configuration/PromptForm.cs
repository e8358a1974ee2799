using System.Globalization;
using Grpo.IO;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// How a model is asked and how it marks its answers: as the settings say, else as its <c>task.json</c> says, else by the sample's own rules.
/// </summary>
/// <param name="Trained">The task that the model's folder describes; null when it describes none.</param>
/// <param name="Format">How answers are marked.</param>
/// <param name="Given">The system prompt of the settings, empty for none; null when they name none.</param>
internal sealed record PromptForm(TaskDescription? Trained, AnswerFormat Format, string? Given)
{
    /// <summary>Reads the task of a model and combines it with what the settings say.</summary>
    /// <param name="model">The folder or hub id of a model; empty for the tiny model of the sample. A hub id describes no task.</param>
    /// <param name="format">The answer format of the settings; null when they name none.</param>
    /// <param name="systemPrompt">The system prompt of the settings, empty for none; null when they name none.</param>
    /// <exception cref="InvalidDataException">The file is damaged, or names an answer format that this sample does not know.</exception>
    public static PromptForm Load(string? model, AnswerFormat? format, string? systemPrompt)
    {
        string folder = model is { Length: > 0 } ? model : Defaults.TinyModel;
        TaskDescription? trained = Directory.Exists(folder) ? TaskDescription.Read(folder) : null;
        return new PromptForm(trained, format ?? FormatOf(trained, folder) ?? AnswerFormat.TagAnswer, systemPrompt);
    }

    /// <summary>The system message for generated problems, whose own is short.</summary>
    public string? ForGenerated => Prompt(Defaults.SystemPrompt);

    /// <summary>The system message for problems of a file and for questions.</summary>
    public string? ForOthers => Prompt(Gsm8kPrompts.For(Format));

    /// <summary>The notes for a person: what overrides the model's own task, or that it describes none.</summary>
    /// <param name="model">The folder or hub id that the settings name; empty for the tiny model.</param>
    /// <param name="sampling">The limits in force; null where nothing is sampled.</param>
    public IEnumerable<string> Notes(string? model, SamplingOptions? sampling)
    {
        if (Trained is null)
        {
            if (model is { Length: > 0 } && Given is null)
            {
                yield return $"'{TerminalText.EscapeLine(model)}' has no {TaskDescription.FileName} that says how it was prompted in training. " +
                    $"It gets the system prompt for answers as {Format}; --system-prompt sets another.";
            }

            yield break;
        }

        if (Trained.AnswerFormat is { } format && format != Format.ToString())
        {
            yield return Differs("the answer format", TerminalText.EscapeLine(format), Format.ToString());
        }

        if (ForOthers != Trained.SystemPrompt)
        {
            yield return Differs("the system prompt", Quoted(Trained.SystemPrompt), Quoted(ForOthers));
        }

        if (sampling is not null && Trained.MaxPromptTokens is { } prompt && prompt != sampling.MaxPromptTokens)
        {
            yield return Differs("MaxPromptTokens", Number(prompt), Number(sampling.MaxPromptTokens));
        }

        if (sampling is not null && Trained.MaxCompletionTokens is { } completion && completion != sampling.MaxCompletionTokens)
        {
            yield return Differs("MaxCompletionTokens", Number(completion), Number(sampling.MaxCompletionTokens));
        }

        static string Differs(string what, string trained, string now) =>
            $"The model was trained with {what} {trained}; the settings ask for {now}.";

        static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

        static string Quoted(string? text) => text is null ? "none" : $"'{TerminalText.EscapeLine(text)}'";
    }

    /// <summary>Describes the task of a model that is trained on such prompts.</summary>
    /// <param name="systemPrompt">The system message of its prompts.</param>
    /// <param name="sampling">The limits of its run; null keeps those of the model that it starts from.</param>
    public TaskDescription Describe(string? systemPrompt, SamplingOptions? sampling) => new()
    {
        SystemPrompt = systemPrompt,
        AnswerFormat = Format.ToString(),
        MaxPromptTokens = sampling?.MaxPromptTokens ?? Trained?.MaxPromptTokens,
        MaxCompletionTokens = sampling?.MaxCompletionTokens ?? Trained?.MaxCompletionTokens,
    };

    private string? Prompt(string own) => Given is not null
        ? Given.Length > 0 ? Given : null
        : Trained is null ? own
        : AsksForAnotherForm(Trained) ? Gsm8kPrompts.For(Format)
        : Trained.SystemPrompt;

    // A prompt that asks for a form gives way to the one that asks for the form that is wanted now. The last number is found in any form.
    private bool AsksForAnotherForm(TaskDescription trained) =>
        Format != AnswerFormat.LastNumber && Enum.TryParse(trained.AnswerFormat, out AnswerFormat before) && before != Format
        && trained.SystemPrompt == Gsm8kPrompts.For(before);

    private static AnswerFormat? FormatOf(TaskDescription? trained, string folder) => trained?.AnswerFormat switch
    {
        null => null,
        { } name when Enum.GetNames<AnswerFormat>().Contains(name) => Enum.Parse<AnswerFormat>(name),
        { } name => throw new InvalidDataException(
            $"'{TerminalText.EscapeLine(Path.Combine(folder, TaskDescription.FileName))}' has the answer format " +
            $"'{TerminalText.EscapeLine(name)}', which is none of {string.Join(", ", Enum.GetNames<AnswerFormat>())}. Name the one to read with --answer-format."),
    };
}
