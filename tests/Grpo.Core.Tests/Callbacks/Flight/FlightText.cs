using System.Text.Json;
using Grpo.Callbacks;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>A record as text: equal texts are equal records, to the last bit.</summary>
internal static class FlightText
{
    private static readonly JsonSerializerOptions Numbers = new()
    {
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    public static string Of(FlightStep step) => JsonSerializer.Serialize(step, Numbers);
}
