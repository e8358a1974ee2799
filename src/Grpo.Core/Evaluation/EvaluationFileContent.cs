using System.Text.Json.Serialization;

namespace Grpo.Evaluation;

/// <summary>The outermost object of the file.</summary>
internal sealed record EvaluationFileContent(int FormatVersion, IReadOnlyDictionary<string, string> About, EvaluationReport Report);

/// <summary>How it is written: readable by people, NaN as a string, since JSON has none.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    NewLine = "\n",
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(EvaluationFileContent))]
internal sealed partial class EvaluationJson : JsonSerializerContext;
